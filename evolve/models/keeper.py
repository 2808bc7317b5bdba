"""Keeps a model server while somebody uses it: `python keeper.py LOCK LINGER_S -- COMMAND...`

It is run by its path, so that it imports nothing of the engine and stays small.

Users hold a shared lock on a file, which the kernel takes back from them however they end, kill -9
included. When nobody has held it for a while, the server and all of its processes are stopped.
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
    """True when nobody holds the shared lock; then it is ours, and who comes waits for it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(lock: Path, linger_s: float, command: list[str]) -> int:
    """Run the command until it ends or nobody uses it any more; its exit code.

    The lock is kept while the server is stopped: nobody new finds one that is about to end.
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
    """First politely; the whole process group, since such servers have workers."""
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):  # all of it has ended
        os.killpg(server.pid, signal.SIGKILL)
    return server.wait()


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[4:]))
