"""`--model vllm:NAME_OR_PATH`: `vllm serve` as a managed child process.

The causes of a failed start are read from its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from evolve.config import Settings
from evolve.errors import PrerequisiteError
from evolve.models import keeper
from evolve.models.names import LOCAL, ModelName, asked_models, parse_model
from evolve.sandbox.rootfs import cache_folder

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


def explain_end(model: str, command: str, log: Path) -> PrerequisiteError:
    """Explain why a server ended, from its log.

    Args:
        model: name or path of the model
        command: unused
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


LINGER_S = 5.0
_TICK_S, _TELL_S, _HEALTH_S = 0.5, 10.0, 2.0
Note = Callable[[str], None]


@asynccontextmanager
async def local_models(
    settings: Settings, note: Note
) -> AsyncIterator[Mapping[str, str]]:
    """Start or find a server for every `vllm:` model of a run.

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
    addresses: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            addresses[str(name)] = await stack.enter_async_context(
                local_server(name, settings, note)
            )
        yield addresses


@asynccontextmanager
async def local_server(
    name: ModelName, settings: Settings, note: Note
) -> AsyncIterator[str]:
    """Start or find one server, and keep it while the context is open.

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
    place = Place.of(name.local, settings)
    async with place.used():
        async with place.starting():
            address = place.running()
            if address is None:
                address = await _start(place, name.local, settings, note)
            else:
                note(f"vllm: {name.local} is already served at {address}")
        yield address


@dataclass(frozen=True)
class Place:
    """Folder of one server: its locks, log and address."""

    folder: Path

    @classmethod
    def of(cls, model: str, settings: Settings) -> Place:
        """Return the folder for a model and the settings of its server.

        Args:
            model: name or path of the model
            settings: of the run

        Returns:
            The same folder for the same model and settings, also in other runs; it is
            created.
        """
        key = json.dumps(
            [
                model,
                settings.vllm_command,
                settings.vllm_options,
                settings.vllm_gpu_memory,
            ]
        )
        folder = cache_folder() / "vllm" / hashlib.sha256(key.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def state(self) -> Path:
        return self.folder / "server.json"

    @property
    def lock(self) -> Path:
        return self.folder / "users.lock"

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Hold the lock that keeps the server running.

        A server that is about to end is waited for.

        Yields:
            While the lock is held.
        """
        async with _locked(self.lock, fcntl.LOCK_SH):
            yield

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """Hold the lock for starting the server, so that only one process starts it.

        Yields:
            While the lock is held.
        """
        async with _locked(self.folder / "start.lock", fcntl.LOCK_EX):
            yield

    def running(self) -> str | None:
        """Return the address of a running server.

        Returns:
            The address; None if there is no server, or it does not answer.
        """
        try:
            address = str(json.loads(self.state.read_text())["address"])
            return address if _healthy(address) else None
        except (OSError, ValueError, KeyError):
            return None


@asynccontextmanager
async def _locked(path: Path, kind: int) -> AsyncIterator[None]:
    with path.open("a") as file:
        await asyncio.to_thread(fcntl.flock, file, kind)
        yield


async def _start(place: Place, model: str, settings: Settings, note: Note) -> str:
    port = _free_port()
    address = f"http://127.0.0.1:{port}/v1"
    command = [
        sys.executable,
        keeper.__file__,
        str(place.lock),
        str(LINGER_S),
        "--",
        *serve_command(model, port, settings),
    ]
    note(f"vllm: starting {model}; its log is {place.log}")
    with place.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for this process, not for the server
            start_new_session=True,
        )
    # The server outlives this run; if this process goes on, it reaps it.
    Thread(target=process.wait, daemon=True).start()
    try:
        await _wait_until_healthy(process, address, place, model, settings, note)
    except BaseException:
        process.terminate()
        raise
    place.state.write_text(json.dumps({"address": address}))
    return address


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


async def _wait_until_healthy(
    process: subprocess.Popen[bytes],
    address: str,
    place: Place,
    model: str,
    settings: Settings,
    note: Note,
) -> None:
    """Wait for the server, with a message from time to time.

    Raises:
        PrerequisiteError: the server ended, or takes too long
    """
    began = told = time.monotonic()
    while not await asyncio.to_thread(_healthy, address):
        now = time.monotonic()
        if process.poll() is not None:
            raise explain_end(model, settings.vllm_command, place.log)
        if now - began > settings.vllm_start_s:
            raise PrerequisiteError(
                f"vllm: {model} does not answer after {settings.vllm_start_s:g} s",
                f"see {place.log}, or wait longer: EVOLVE_VLLM_START_S",
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
