"""Run a model server that ends with the process that started it.

    python keeper.py -- COMMAND...

It is run by its path, so that it imports nothing of the engine and stays small. Its standard
input is a pipe from that process: when the pipe closes, however the process ended, `kill -9`
included, the server and all its processes are stopped.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys

TICK_S = 0.3
STOP_S = 20.0  # for the server's own clean-up, before it is killed


def keep(command: list[str]) -> int:
    """Run a server until it ends or standard input is closed.

    Args:
        command: command line of the server

    Returns:
        The server's exit code.
    """
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True
    ) as server:
        while server.poll() is None and not _input_has_ended():
            pass
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):  # no process is left
            os.killpg(server.pid, signal.SIGKILL)
        return server.wait()


def _input_has_ended() -> bool:
    """Wait for one tick and report whether standard input has been closed."""
    return bool(select.select([0], [], [], TICK_S)[0])


if __name__ == "__main__":
    sys.exit(keep(sys.argv[2:]))
