"""Why a model server did not start: from its log to what a person can do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from evolve.errors import PrerequisiteError

_TAIL_BYTES, _TAIL_LINES = 30_000, 4


class _Sign(NamedTuple):
    pattern: re.Pattern[str]
    message: str
    hint: str


_SIGNS = (
    _Sign(re.compile(r"No module named '?vllm|No such file or directory: '[^']*vllm[^']*'"),
          "vllm is not installed", "pip install vllm, or name its command: "
          "EVOLVE_VLLM_COMMAND=/path/to/vllm"),
    _Sign(re.compile(r"(?i)out of memory|No available memory for the cache|less than desired GPU memory"
                     r"|Cannot allocate memory|larger than the available KV cache|MemoryError"),
          "there is not enough memory for {model}", "take a smaller model, or set "
          "EVOLVE_VLLM_GPU_MEMORY, or EVOLVE_VLLM_OPTIONS='--max-model-len 8192'"),
    _Sign(re.compile(r"(?i)not a local folder and is not a valid model|Repository Not Found"
                     r"|Cannot find any model weights|LocalEntryNotFound|does not appear to have"
                     r"|OfflineModeIsEnabled|couldn't connect to|Invalid repository ID"
                     r"|Can't load the configuration"),
          "there are no weights for {model}", "give a folder with weights and tokenizer, or a name "
          "that can be downloaded from here"),
    _Sign(re.compile(r"(?i)Failed to infer device type|No CUDA GPUs|libcuda|NVML|no NVIDIA driver"
                     r"|Found no NVIDIA"),
          "vllm finds no GPU", "its usual build needs one; there is a CPU build, and "
          "hosted_vllm/NAME@http://HOST:PORT/v1 uses a server elsewhere"),
)


def explain_end(model: str, command: str, log: Path) -> PrerequisiteError:
    """What the log of a server that ended says."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    for sign in _SIGNS:
        if sign.pattern.search(text):
            return PrerequisiteError(sign.message.format(model=model), f"{sign.hint} (log: {log})")
    tail = "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
    return PrerequisiteError(f"vllm ended while it was starting {model}:\n{tail}", f"see {log}")
