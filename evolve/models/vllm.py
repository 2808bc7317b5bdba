"""`--model vllm:NAME_OR_PATH`: `vllm serve` as a managed child process.

The causes of a failed start are read from its log.
"""

import asyncio
import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from evolve.config import Settings
from evolve.errors import PrerequisiteError
from evolve.models import keeper
from evolve.models.names import LOCAL, ModelName, asked_models, parse_model
from evolve.sandbox.cache import cache_folder
from evolve.text import Note

_TAIL_BYTES, _TAIL_LINES = 30_000, 4


class _Sign(NamedTuple):
    pattern: re.Pattern[str]
    message: str
    hint: str


_SIGNS = (
    _Sign(
        re.compile(
            r"No module named '?vllm|No such file or directory: '[^']*vllm[^']*'"
        ),
        "vllm is not installed",
        "pip install vllm, or name its command: EVOLVE_VLLM_COMMAND=/path/to/vllm",
    ),
    _Sign(
        re.compile(
            r"(?i)out of memory|No available memory for the cache|less than desired GPU memory"
            r"|Cannot allocate memory|larger than the available KV cache|MemoryError"
        ),
        "there is not enough memory for {model}",
        "take a smaller model, or set "
        "EVOLVE_VLLM_GPU_MEMORY, or EVOLVE_VLLM_OPTIONS='--max-model-len 8192'",
    ),
    _Sign(
        re.compile(
            r"(?i)not a local folder and is not a valid model|Repository Not Found"
            r"|Cannot find any model weights|LocalEntryNotFound|does not appear to have"
            r"|OfflineModeIsEnabled|couldn't connect to|Invalid repository ID"
            r"|Can't load the configuration"
        ),
        "no weights found for {model}",
        "give a folder with weights and tokenizer, or a name "
        "that can be downloaded from here",
    ),
    _Sign(
        re.compile(
            r"(?i)Failed to infer device type|No CUDA GPUs|libcuda|NVML|no NVIDIA driver"
            r"|Found no NVIDIA"
        ),
        "vllm finds no GPU",
        "its usual build needs one; there is a CPU build, and "
        "hosted_vllm/NAME@http://HOST:PORT/v1 uses a server elsewhere",
    ),
)


def explain_end(model: str, log: Path) -> PrerequisiteError:
    """Explain why a server ended, from its log.

    Args:
        model: name or path of the model
        log: the server's log file

    Returns:
        The error, to be raised, with a known cause or the last lines of the log.
    """
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    for sign in _SIGNS:
        if sign.pattern.search(text):
            return PrerequisiteError(
                sign.message.format(model=model), f"{sign.hint} (log: {log})"
            )
    tail = "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
    return PrerequisiteError(
        f"vllm ended while it was starting {model}:\n{tail}", f"see {log}"
    )


_TICK_S, _TELL_S, _HEALTH_S = 0.5, 10.0, 2.0


@asynccontextmanager
async def local_models(
    settings: Settings, note: Note
) -> AsyncIterator[Mapping[str, str]]:
    """Start a server for every `vllm:` model of a run, and stop them at the end.

    Args:
        settings: of the run
        note: called with messages for people

    Yields:
        Model name -> address.

    Raises:
        PrerequisiteError: a server can't be started
    """
    names = [
        parse_model(model)
        for model in asked_models(settings)
        if model.startswith(LOCAL)
    ]
    async with contextlib.AsyncExitStack() as stack:
        yield {
            str(name): await stack.enter_async_context(
                local_server(name, settings, note)
            )
            for name in names
        }


@asynccontextmanager
async def local_server(
    name: ModelName, settings: Settings, note: Note
) -> AsyncIterator[str]:
    """Run one server as a child process while the context is open.

    The server ends with this process, also after `kill -9`: see `keeper`.

    Args:
        name: a `vllm:` model
        settings: of the run
        note: called with messages for people

    Yields:
        Its address, http://127.0.0.1:PORT/v1.

    Raises:
        PrerequisiteError: the server can't be started
    """
    assert name.local is not None
    port, log = _free_port(), _log_of(name.local)
    command = [sys.executable, keeper.__file__, "--"]
    note(f"vllm: starting {name.local}; its log is {log}")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, *serve_command(name.local, port, settings)],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is for this process, not for the server
        )
    server = _Server(process, name.local, f"http://127.0.0.1:{port}/v1", log)
    try:
        await _wait_until_healthy(server, settings, note)
        yield server.address
    finally:
        assert process.stdin is not None
        process.stdin.close()  # the keeper stops the server then
        await asyncio.to_thread(process.wait)


class _Server(NamedTuple):
    """A server that was started: the keeper's process, the model, address and log."""

    process: subprocess.Popen[bytes]
    model: str
    address: str
    log: Path


def _log_of(model: str) -> Path:
    """Return the path of a new log; it stays when the server has ended."""
    place = cache_folder() / "vllm"
    place.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^\w.-]+", "-", model)[-40:]
    return place / f"{os.getpid()}-{slug}-server.log"


def serve_command(model: str, port: int, settings: Settings) -> Sequence[str]:
    """Return the command that serves a model.

    Args:
        model: name or path of the model
        port: port on loopback
        settings: command, options and GPU memory

    Returns:
        Command line with prefix caching on, listening on loopback only.
    """
    memory = settings.vllm_gpu_memory
    return [
        *shlex.split(settings.vllm_command),
        "serve",
        model,
        "--served-model-name",
        model,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
        *([] if memory is None else ["--gpu-memory-utilization", f"{memory:g}"]),
        *shlex.split(settings.vllm_options),
    ]


async def _wait_until_healthy(server: _Server, settings: Settings, note: Note) -> None:
    """Wait for the server, with a message from time to time.

    Raises:
        PrerequisiteError: the server ended, or takes too long
    """
    model, began = server.model, time.monotonic()
    told = began
    while not await asyncio.to_thread(_healthy, server.address):
        now = time.monotonic()
        if server.process.poll() is not None:
            raise explain_end(model, server.log)
        if now - began > settings.vllm_start_s:
            raise PrerequisiteError(
                f"vllm: {model} does not answer after {settings.vllm_start_s:g} s",
                f"see {server.log}, or wait longer: EVOLVE_VLLM_START_S",
            )
        if now - told > _TELL_S:
            told = now
            note(f"vllm: loading {model}, {now - began:.0f} s")
        await asyncio.sleep(_TICK_S)
    note(f"vllm: {model} answers after {time.monotonic() - began:.0f} s")


def _healthy(address: str) -> bool:
    """Return whether the server at `address` is ready, asked without a proxy."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    direct = build_opener(ProxyHandler({}))
    try:
        with direct.open(
            address.removesuffix("/v1") + "/health", timeout=_HEALTH_S
        ) as reply:
            return bool(reply.status == 200)
    # no server listens, or the answer is not HTTP
    except (OSError, HTTPException):
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
