"""The candidate's side of the wire: write its files, call its functions, run commands.

Everything here runs as the candidate, so nothing here is trusted: an answer is a claim.
Requests are frames (see `wire`): `load`, `call`, `run`, `tree`, and for measured calls `hold`
and `go`. This file needs the standard library only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any, BinaryIO

from . import tracebacks, wire

TRACEBACK_CHARS = 4000
# A mapping of the entry module: for a timed function an object that makes its inputs
# (`prepare`), describes its answers (`pack`), and does so once more (`echo`).
HOOKS = "EVOLVE_HOOKS"


def run(home: str, output_bytes: int) -> None:
    """Answer requests from descriptor 3 on descriptor 4 until the stream ends.

    Args:
        home: The candidate's directory.
        output_bytes: Limit on each output stream of a command.
    """
    global line
    reseed()
    line = Line(os.fdopen(3, "rb"), os.fdopen(4, "wb", buffering=0))
    candidate = Candidate(home, output_bytes)
    while True:
        try:
            header, payload = line.receive()
        except EOFError:
            return
        reply = respond(candidate, header, payload)
        del payload  # not in the time of the next request
        line.answer(*reply)
        del reply


class Line:
    """The connection to the engine: one request, one answer.

    Args:
        requests: Stream of frames from the engine.
        replies: Stream of frames to the engine.
    """

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self._requests, self._replies = requests, replies
        self._id: Any = None

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the next request.

        Returns:
            Header and payload.

        Raises:
            EOFError: The engine is gone.
        """
        header, payload = wire.read_frame(self._requests)
        self._id = header["id"]
        return header, payload

    def answer(self, reply: dict[str, Any], payload: bytes) -> None:
        """Send the answer to the last request.

        Args:
            reply: Header of the answer; the request's id is added.
            payload: Content of the answer.
        """
        reply["id"] = self._id  # proves that the answer follows the request
        flush_prints()
        write_all(self._replies, wire.frame(reply, payload))


line: Line | None = None  # set once, when the candidate starts


def reseed() -> None:
    """Give each candidate its own random state, which forks would share."""
    import random

    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def respond(
    candidate: Candidate, header: dict[str, Any], payload: bytes
) -> tuple[dict[str, Any], bytes]:
    """Answer one request; an exception of the candidate becomes an answer, too.

    Args:
        candidate: The candidate.
        header: Header of the request; "op" is its kind.
        payload: Content of the request.

    Returns:
        Header and payload of the answer.
    """
    try:
        if header["op"] == "load":
            candidate.load(header["module"], payload)
            return {"ok": True}, b""
        if header["op"] == "call":
            return candidate.call(header, payload)
        if header["op"] == "tree":
            return {"ok": True}, wire.encode(candidate.tree())
        if header["op"] == "hold":
            candidate.hold(header["function"], header["core"], payload)
            return {"ok": True}, b""
        if header["op"] == "go":
            return candidate.go()
        return candidate.execute(header, payload)
    except MemoryError:
        return {"ok": False, "error": "memory", "message": "MemoryError"}, b""
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - candidate's border
        return failure(error), b""


def failure(error: BaseException) -> dict[str, Any]:
    """Return the answer for an exception, for the scorer and the next prompt.

    Args:
        error: The candidate's exception.

    Returns:
        Header of the answer.
    """
    return {
        "ok": False,
        "error": "exception",
        "message": f"{type(error).__name__}: {error}"[:1000],
        "traceback": tracebacks.format_traceback(error, __file__, TRACEBACK_CHARS),
    }


def flush_prints() -> None:
    """Flush the candidate's output, so that it leaves before the answer."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all bytes to an unbuffered stream.

    Args:
        stream: Its `write` returns the number of bytes written.
        data: The bytes.
    """
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def put(path: str, data: bytes, executable: bool) -> None:
    """Write a file of the candidate.

    Args:
        path: Its path; missing directories are made.
        data: Its content.
        executable: Whether it can be run.
    """
    target = os.path.abspath(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)
    os.chmod(target, 0o700 if executable else 0o600)


def forget_shadowed(paths: Iterable[str]) -> None:
    """Drop loaded modules that have the same name as a file of the candidate.

    Args:
        paths: Relative paths of the candidate's files.
    """
    names = {
        path.split("/")[0].removesuffix(".py") for path in paths
    } - sys.stdlib_module_names
    for loaded in list(sys.modules):
        if loaded.split(".")[0] in names:
            del sys.modules[loaded]


class Candidate:
    """The files of one variant and its imported entry module.

    Args:
        home: The candidate's directory.
        output_bytes: Limit on each output stream of a command.
    """

    def __init__(self, home: str, output_bytes: int) -> None:
        self.home, self.output_bytes = home, output_bytes
        self.module: Any = None
        self._held: tuple[str | None, list[Any]] = (None, [])
        self._hooks: Any = None

    def load(self, module: str | None, payload: bytes) -> None:
        """Write the files and import the entry module, if there is one.

        Args:
            module: Name of the module; None or empty imports none.
            payload: Encoded list of (path, content, executable).
        """
        files = wire.decode(payload)
        for path, data, executable in files:
            put(os.path.join(self.home, path), data, executable)
        if module:
            sys.path.insert(0, self.home)
            forget_shadowed(path for path, _, _ in files)
            self.module = importlib.import_module(module)

    def tree(self) -> list[list[Any]]:
        """Return the regular files of the directory: x or - and the path, content."""
        found = []
        for folder, _, names in os.walk(self.home):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as file:
                        content = file.read()
                    mode = "x" if os.access(path, os.X_OK) else "-"
                    found.append([mode + os.path.relpath(path, self.home), content])
        return found

    def call(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes]:
        """Call a function of the entry module with plain arguments.

        Args:
            header: "function" is its name.
            payload: Encoded (args, kwargs).

        Returns:
            Header and payload of the answer.
        """
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

    def hold(self, function: str | None, core: int | None, payload: bytes) -> None:
        """Decode the arguments of calls that `go` makes; nothing of it is measured.

        Args:
            function: Name of the function; None: the arguments are the answers.
            core: Processor that this process stays on; None: any.
            payload: Encoded list of (args, kwargs), or of answers.
        """
        if core is not None:
            os.sched_setaffinity(0, {core})
        calls = wire.decode(payload)
        if function is not None:
            self._function(function)
            self._hooks = getattr(self.module, HOOKS, {}).get(function)
            if self._hooks is not None:
                calls = self._hooks.prepare(calls)
        self._held = function, calls
        gc.collect()

    def go(self) -> tuple[dict[str, Any], bytes]:
        """Make the calls that are held.

        Returns:
            Header and payload of the answer: the encoded list of answers.
        """
        name, calls = self._held
        self._held = (None, [])
        try:
            if name is None:
                again = calls if self._hooks is None else self._hooks.echo()
                return {"ok": True}, wire.encode(again)
            function = self._function(name)
            answers = [function(*args, **kwargs) for args, kwargs in calls]
            if self._hooks is not None:
                answers = self._hooks.pack(answers)
            return {"ok": True}, wire.encode(answers)
        except wire.Unsendable as error:
            message = f"{name} returned {error}"
            return {"ok": False, "error": "refused", "message": message}, b""

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
        """Run a command in the candidate's directory; too much output ends it.

        Args:
            header: "argv" is the command, "folder" a directory below the candidate's.
            payload: Its input.

        Returns:
            Header and payload of the answer: encoded (stdout, stderr).

        Raises:
            FileNotFoundError: The sandbox has no such command.
        """
        pipe = subprocess.PIPE
        folder = os.path.join(self.home, header.get("folder", ""))
        os.makedirs(folder, exist_ok=True)
        name = header["argv"][0]
        if "/" not in name and shutil.which(name) is None:
            raise FileNotFoundError(
                f"the sandbox has no command {name!r}, only python3 and the tools that "
                f'task.toml names: [environment] tools = ["{name}"]; start a package of '
                f"`packages` by python3 -m {name}"
            )
        with subprocess.Popen(
            header["argv"], stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder
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
    """Collects one stream of a command in a thread; kills the command past the limit.

    Args:
        process: The command.
        stream: One of its output streams.
        limit: Maximum number of bytes.
    """

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
        """Wait for the end of the stream.

        Returns:
            The whole output, or one byte more than the limit.
        """
        self._thread.join()
        return self._data


def give(stream: Any, data: bytes) -> None:
    """Write a command's input; the command need not read all of it.

    Args:
        stream: The command's standard input.
        data: The input.
    """
    with contextlib.suppress(BrokenPipeError):
        stream.write(data)
    with contextlib.suppress(BrokenPipeError):
        stream.close()
