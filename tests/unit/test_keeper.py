"""A model server ends with its user, and takes its time for it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolve.models import keeper

SERVER = """
import pathlib, signal, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
pathlib.Path("worker").write_text(str(worker.pid))
def end(*_):
    pathlib.Path("ended").touch()
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
pathlib.Path("up").touch()
time.sleep(300)
"""


def until(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)


@pytest.mark.parametrize("server_ends_first", [False, True])
def test_the_server_and_its_workers_end(
    tmp_path: Path, server_ends_first: bool
) -> None:
    code = (
        SERVER.replace("time.sleep(300)\n", "sys.exit(7)\n")
        if server_ends_first
        else SERVER
    )
    command = [sys.executable, keeper.__file__, "--", sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE) as process:
        until(tmp_path / "up")
        if server_ends_first:
            assert process.wait(60) == 7
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 7
    assert (tmp_path / "ended").exists() is not server_ends_first
    if (tmp_path / "worker").exists():
        worker = Path("/proc", (tmp_path / "worker").read_text())
        deadline = time.monotonic() + 30
        while worker.exists() and "Z" not in (worker / "stat").read_text():
            assert time.monotonic() < deadline, "the worker is still there"
            time.sleep(0.05)
