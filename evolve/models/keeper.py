"""Keep a model server while it is used: `python keeper.py LOCK LINGER_S -- COMMAND...`

It is run by its path, so that it imports nothing of the engine and stays small.

Users hold a shared lock on a file. The kernel releases it however they end, kill -9
included. After some time without a holder, the server and all its processes are
stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

TICK_S, STOP_S = 0.3, 20.0


def nobody_holds(file: IO[str]) -> bool:
    """Try to take the exclusive lock, which succeeds if no process uses the server.

    Args:
        file: the open lock file

    Returns:
        True if the lock was taken; new users then wait for it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(lock: Path, linger_s: float, command: list[str]) -> int:
    """Run a server until it ends or is unused.

    The lock is held while the server is stopped, so that no new user finds a server
    that is about to end.

    Args:
        lock: file that users hold a shared lock on
        linger_s: time without users before the server is stopped, in seconds
        command: command line of the server

    Returns:
        The server's exit code.
    """
    with (
        lock.open("a") as file,
        subprocess.Popen(command, start_new_session=True) as server,
    ):
        asked = _ask_to_stop_on_signals()
        used = time.monotonic()
        while server.poll() is None:
            free = nobody_holds(file)
            used = used if free else time.monotonic()
            if asked or time.monotonic() - used > linger_s:
                return _stop(server)
            if free:
                fcntl.flock(file, fcntl.LOCK_UN)
            time.sleep(TICK_S)
        return server.returncode


def _ask_to_stop_on_signals() -> list[int]:
    asked: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: asked.append(number))
    return asked


def _stop(server: subprocess.Popen[bytes]) -> int:
    """Terminate the server, then kill its process group with possible workers."""
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):  # no process is left
        os.killpg(server.pid, signal.SIGKILL)
    return server.wait()


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[4:]))
