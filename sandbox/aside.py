"""Trusted functions on hostile data, run aside in a process that can be killed.

Parsing what a candidate or a model wrote can take long, and a thread can't be stopped and
holds the interpreter's lock. Small data is handled where it is; everything else by a worker
process with limits on time and memory. A worker has no environment, reads pickles of the
engine and answers in the wire's values, which hold no code.
"""

import asyncio
import atexit
import importlib
import os
import pickle
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from evolve.sandbox.errors import CandidateFault, ProviderFault, Reason, machine_faults
from evolve.sandbox.inside import wire

SMALL_BYTES = 20 * 1024  # at which even the slowest text takes under 50 ms
TIME_S = 10.0
MEMORY_BYTES = 2 << 30
WORKERS = 2
IDLE_S = 20.0  # after which the workers end
_START = "import sys; sys.path[:] = sys.argv[1:]; from evolve.sandbox import aside; aside.serve()"
_R = TypeVar("_R")


async def run_aside(
    function: Callable[..., _R], *arguments: Any, size: int, time_s: float = TIME_S
) -> _R:
    """Call a function; aside if its data is large.

    Args:
        function: A trusted function of a module. Its result is a value of `wire`.
        *arguments: Its arguments, which can be pickled.
        size: Amount of hostile data in bytes, or an estimate of the work in such bytes.
        time_s: Limit on the time of a call aside.

    Returns:
        The function's result.

    Raises:
        CandidateFault: With reason `TIMEOUT` or `MEMORY`: the data takes too much; with
            `REFUSED`: it is nested too deeply.
        ProviderFault: No process can be started.
    """
    if size <= SMALL_BYTES:
        try:
            return function(*arguments)
        except (RecursionError, MemoryError) as error:
            raise _too_deep(error) from None
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_pool(), _call, function, arguments, time_s)


def _too_deep(error: Exception) -> CandidateFault:
    return CandidateFault(
        Reason.REFUSED, f"it is nested too deeply ({type(error).__name__})"
    )


class _Worker:
    """A started process, which serves one call after another."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", _START, *import_path()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}
        )

    def ask(self, request: bytes, time_s: float) -> tuple[dict[str, Any], bytes]:
        """Return header and payload of the answer.

        Raises `EOFError` if the process ended, also at the time limit.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        timer = threading.Timer(time_s, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            self._process.stdin.write(wire.frame({}, request))
            self._process.stdin.flush()
            return wire.read_frame(self._process.stdout)
        except BrokenPipeError:
            raise EOFError("the worker is gone") from None
        finally:
            timer.cancel()

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()


def import_path() -> list[str]:
    """Return the folders that this process imports from, for a process without `site`.

    Returns:
        Absolute paths; the folder of this package is the last one, because an editable
        installation is found by a hook of `site`.
    """
    home = Path(__file__).absolute().parents[2]
    return [*(str(Path(path).absolute()) for path in sys.path), str(home)]


class _Workers:
    """The idle workers, and the threads that wait for the busy ones."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[_Worker] = []
        self.threads: ThreadPoolExecutor | None = None
        self.busy = 0
        self.used_at = 0.0


_workers = _Workers()


def _pool() -> ThreadPoolExecutor:
    with _workers.lock:
        if _workers.threads is None:
            _workers.threads = ThreadPoolExecutor(WORKERS, "aside")
            atexit.register(close)
            threading.Thread(target=_close_when_idle, daemon=True).start()
        return _workers.threads


def _call(
    function: Callable[..., Any], arguments: tuple[Any, ...], time_s: float
) -> Any:
    name = (function.__module__, function.__qualname__)
    request = pickle.dumps((name, arguments))
    with _workers.lock:
        _workers.busy += 1
        worker = _workers.idle.pop() if _workers.idle else None
    started = time.monotonic()
    try:
        if worker is None:
            with machine_faults("a process for large data can't be started"):
                worker = _Worker()
        header, payload = worker.ask(request, time_s)
    except EOFError:
        assert worker is not None
        worker.close()
        if time.monotonic() - started < time_s:
            raise CandidateFault(Reason.MEMORY, "its reader was killed") from None
        raise CandidateFault(
            Reason.TIMEOUT, f"reading it takes over {time_s:g} s"
        ) from None
    finally:
        with _workers.lock:
            _workers.busy -= 1
            _workers.used_at = time.monotonic()
    return _result(worker, header, payload)


def _result(worker: _Worker, header: dict[str, Any], payload: bytes) -> Any:
    fault = header.get("fault")
    if fault == "memory":  # what it holds is not freed for sure
        worker.close()
        raise CandidateFault(Reason.MEMORY, "reading it takes too much memory")
    with _workers.lock:
        if _workers.threads is None:
            worker.close()
        else:
            _workers.idle.append(worker)
    if fault == "depth":
        raise _too_deep(RecursionError())
    if fault is not None:
        raise ProviderFault(f"a process for large data failed: {fault}")
    return wire.decode(payload)


def _close_when_idle() -> None:
    while True:
        time.sleep(IDLE_S / 4)
        with _workers.lock:
            if _workers.threads is None:
                return
            idle_s = time.monotonic() - _workers.used_at
            due = not _workers.busy and idle_s > IDLE_S
        if due:
            close()


def close() -> None:
    """End the idle workers; the next large data starts others."""
    with _workers.lock:
        idle, threads = list(_workers.idle), _workers.threads
        _workers.idle.clear()
        _workers.threads = None
    for worker in idle:
        worker.close()
    if threads is not None:
        threads.shutdown(wait=False)
        atexit.unregister(close)


def serve() -> None:
    """Serve calls on the standard streams until the engine closes them: a worker's main."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            _, request = wire.read_frame(requests)
        except EOFError:
            return
        answers.write(wire.frame(*_answer(request)))
        answers.flush()


def _answer(request: bytes) -> tuple[dict[str, Any], bytes]:
    """Call what the engine asks for; all errors become a fault in the header."""
    (module, name), arguments = pickle.loads(request)
    try:
        return {}, wire.encode(
            getattr(importlib.import_module(module), name)(*arguments)
        )
    except MemoryError:
        return {"fault": "memory"}, b""
    except RecursionError:
        return {"fault": "depth"}, b""
    except Exception as error:  # noqa: BLE001 - the border: reported to the engine
        return {"fault": f"{type(error).__name__}: {error}"[:500]}, b""
