"""Who keeps a model server: nobody finds one that is about to end."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolve.models import keeper

SLOW_TO_END = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path("ending").touch()
    while not pathlib.Path("may end").exists():
        time.sleep(0.02)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path("up").touch()
time.sleep(300)
"""


def until(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)


def test_the_lock_is_kept_while_the_server_is_stopped(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    command = [
        sys.executable,
        keeper.__file__,
        str(lock),
        "0.1",
        "--",
        sys.executable,
        "-c",
        SLOW_TO_END,
    ]
    with lock.open("a") as used, subprocess.Popen(command, cwd=tmp_path) as process:
        fcntl.flock(used, fcntl.LOCK_SH)
        until(tmp_path / "up")
        time.sleep(3 * keeper.TICK_S)
        assert process.poll() is None and not (tmp_path / "ending").exists(), (
            "it is used"
        )
        fcntl.flock(used, fcntl.LOCK_UN)
        until(tmp_path / "ending")
        with lock.open("a") as newcomer:
            with pytest.raises(BlockingIOError):
                fcntl.flock(newcomer, fcntl.LOCK_SH | fcntl.LOCK_NB)
            (tmp_path / "may end").touch()
            fcntl.flock(newcomer, fcntl.LOCK_SH)  # waits
            assert process.wait(60) == 0
