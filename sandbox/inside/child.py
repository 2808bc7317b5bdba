"""The candidate's side of the wire: take its files, call its functions, run its commands.

Everything here runs as the candidate, so nothing here is trusted: an answer is a claim. Requests are
frames (see `wire`): `load`, `call`, `run`. This file needs the standard library only.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterable
from typing import Any, BinaryIO

import wire

TRACEBACK_CHARS = 4000


def run(home: str) -> None:
    """Answer requests on descriptor 3 at descriptor 4 until the stream ends."""
    reseed()
    requests, replies = os.fdopen(3, "rb"), os.fdopen(4, "wb", buffering=0)
    candidate = Candidate(home)
    while True:
        try:
            header, payload = wire.read_frame(requests)
        except EOFError:
            return
        reply, answer = respond(candidate, header, payload)
        flush_prints()
        write_all(replies, wire.frame(reply, answer))


def reseed() -> None:
    """Forks share their random state; each candidate gets its own."""
    import random

    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def respond(candidate: Candidate, header: dict[str, Any], payload: bytes
            ) -> tuple[dict[str, Any], bytes]:
    """One request, one reply; what the candidate raises becomes a reply, too."""
    try:
        if header["op"] == "load":
            candidate.load(header, payload)
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
    text = "".join(traceback.format_exception(error))
    return {"ok": False, "error": "exception", "message": f"{type(error).__name__}: {error}"[:1000],
            "traceback": text[-TRACEBACK_CHARS:]}


def flush_prints() -> None:
    """What the candidate printed goes out before the answer does."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def write_all(stream: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view):]


def forget_shadowed(paths: Iterable[str]) -> None:
    """A candidate's file may have the name of a module that this process has loaded."""
    names = {path.split("/")[0].removesuffix(".py") for path in paths} - sys.stdlib_module_names
    for loaded in list(sys.modules):
        if loaded.split(".")[0] in names:
            del sys.modules[loaded]


class Candidate:
    """The files of one variant and its imported entry module."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.module: Any = None

    def load(self, header: dict[str, Any], payload: bytes) -> None:
        """Write the files; import the entry module if it is one of ours to call."""
        position = 0
        for path, length, executable in header["files"]:
            target = os.path.join(self.home, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(payload[position:position + length])
            os.chmod(target, 0o700 if executable else 0o600)
            position += length
        if header.get("module"):
            sys.path.insert(0, self.home)
            forget_shadowed(path for path, _, _ in header["files"])
            self.module = importlib.import_module(header["module"])

    def call(self, header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Call a function of the entry module with plain arguments."""
        function = getattr(self.module, header["function"])
        args, kwargs = wire.decode(payload)
        try:
            return {"ok": True}, wire.encode(function(*args, **kwargs))
        except wire.Unsendable as error:
            return {"ok": False, "error": "refused",
                    "message": f"{header['function']} returned {error}"}, b""

    def execute(self, header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Run a command in the candidate's folder."""
        done = subprocess.run(header["argv"], input=payload, capture_output=True, check=False,
                              cwd=self.home)
        return {"ok": True, "exit": done.returncode}, wire.encode((done.stdout, done.stderr))
