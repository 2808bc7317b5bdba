"""The candidate's side of the wire: take its files, call its functions, run its commands.

Everything here runs as the candidate, so nothing here is trusted: an answer is a claim. Requests are
frames (see `wire`): `load`, `call`, `run`. This file needs the standard library only.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any, BinaryIO

from . import tracebacks, wire

TRACEBACK_CHARS = 4000


def run(home: str, output_bytes: int) -> None:
    """Answer requests on descriptor 3 at descriptor 4 until the stream ends."""
    global line
    reseed()
    line = Line(os.fdopen(3, "rb"), os.fdopen(4, "wb", buffering=0))
    candidate = Candidate(home, output_bytes)
    while True:
        try:
            header, payload = line.receive()
        except EOFError:
            return
        line.answer(*respond(candidate, header, payload))


class Line:
    """The way to the engine: one request, one answer to it."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self._requests, self._replies = requests, replies
        self._id: Any = None

    def receive(self) -> tuple[dict[str, Any], bytes]:
        header, payload = wire.read_frame(self._requests)
        self._id = header["id"]
        return header, payload

    def answer(self, reply: dict[str, Any], payload: bytes) -> None:
        reply["id"] = self._id  # shows that it was asked before it answered
        flush_prints()
        write_all(self._replies, wire.frame(reply, payload))


line: Line | None = None  # set once, when the candidate's life begins


def reseed() -> None:
    """Forks share their random state; each candidate gets its own."""
    import random

    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def respond(
    candidate: Candidate, header: dict[str, Any], payload: bytes
) -> tuple[dict[str, Any], bytes]:
    """One request, one reply; what the candidate raises becomes a reply, too."""
    try:
        if header["op"] == "load":
            candidate.load(header["module"], payload)
            return {"ok": True}, b""
        if header["op"] == "call":
            return candidate.call(header, payload)
        return candidate.execute(header, payload)
    except MemoryError:
        return {"ok": False, "error": "memory", "message": "MemoryError"}, b""
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - candidate's border
        return failure(error), b""


def failure(error: BaseException) -> dict[str, Any]:
    """What the scorer and the next prompt are told about an exception."""
    return {
        "ok": False,
        "error": "exception",
        "message": f"{type(error).__name__}: {error}"[:1000],
        "traceback": tracebacks.format_traceback(error, __file__, TRACEBACK_CHARS),
    }


def flush_prints() -> None:
    """What the candidate printed goes out before the answer does."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def write_all(stream: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def forget_shadowed(paths: Iterable[str]) -> None:
    """A candidate's file may have the name of a module that this process has loaded."""
    names = {
        path.split("/")[0].removesuffix(".py") for path in paths
    } - sys.stdlib_module_names
    for loaded in list(sys.modules):
        if loaded.split(".")[0] in names:
            del sys.modules[loaded]


class Candidate:
    """The files of one variant and its imported entry module."""

    def __init__(self, home: str, output_bytes: int) -> None:
        self.home, self.output_bytes = home, output_bytes
        self.module: Any = None

    def load(self, module: str | None, payload: bytes) -> None:
        """Write the files; import the entry module if it is one of ours to call."""
        files = wire.decode(payload)
        for path, data, executable in files:
            target = os.path.join(self.home, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(data)
            os.chmod(target, 0o700 if executable else 0o600)
        if module:
            sys.path.insert(0, self.home)
            forget_shadowed(path for path, _, _ in files)
            self.module = importlib.import_module(module)

    def call(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes]:
        """Call a function of the entry module with plain arguments."""
        function = self._function(header["function"])
        args, kwargs = wire.decode(payload)
        try:
            return {"ok": True}, wire.encode(function(*args, **kwargs))
        except wire.Unsendable as error:
            return {
                "ok": False,
                "error": "refused",
                "message": f"{header['function']} returned {error}",
            }, b""

    def _function(self, name: str) -> Any:
        try:
            return getattr(self.module, name)
        except AttributeError:
            there = [
                known
                for known, value in vars(self.module).items()
                if callable(value) and not known.startswith("_")
            ]
            raise AttributeError(
                f"{self.module.__name__} has no function {name!r}; it has "
                f"{', '.join(there[:10]) or 'none'}"
            ) from None

    def execute(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes]:
        """Run a command in the candidate's folder; too much output ends it."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            header["argv"], stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.home
        ) as process:
            reader = Collector(process, process.stderr, self.output_bytes)
            feeder = threading.Thread(
                target=give, args=(process.stdin, payload), daemon=True
            )
            feeder.start()
            output = Collector(process, process.stdout, self.output_bytes).wait()
            errors = reader.wait()
            feeder.join()
        if len(output) > self.output_bytes or len(errors) > self.output_bytes:
            return {
                "ok": False,
                "error": "output",
                "message": f"{header['argv'][0]} printed more than {self.output_bytes:,} bytes",
            }, b""
        return {"ok": True, "exit": process.returncode}, wire.encode((output, errors))


class Collector:
    """Collects one stream of a command in a thread; kills the command past the limit."""

    def __init__(
        self, process: subprocess.Popen[bytes], stream: Any, limit: int
    ) -> None:
        self._process, self._stream, self._limit = process, stream, limit
        self._data = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._data = self._stream.read(self._limit + 1)
        if len(self._data) > self._limit:
            self._process.kill()

    def wait(self) -> bytes:
        """The whole output, or one byte more than the limit."""
        self._thread.join()
        return self._data


def give(stream: Any, data: bytes) -> None:
    """Write a command's input; it need not read it all."""
    with contextlib.suppress(BrokenPipeError):
        stream.write(data)
    with contextlib.suppress(BrokenPipeError):
        stream.close()
