"""The Docker daemon, stopped and started by tests that run alone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 60.0


def wait_until(what: Callable[[], bool]) -> None:
    """Wait for something that takes its time. Raises `AssertionError` when it never comes."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "the daemon does not do as it is told"
        time.sleep(0.2)


def daemon_answers() -> bool:
    return (
        subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
        == 0
    )


def daemon_is_gone() -> bool:
    return (
        subprocess.run(
            ["pgrep", "-x", "dockerd"], capture_output=True, check=False
        ).returncode
        != 0
    )


def stop_daemon() -> None:
    subprocess.run(["pkill", "-TERM", "-x", "dockerd"], check=True)
    wait_until(daemon_is_gone)


def start_daemon(log: Path) -> None:
    subprocess.run(
        ["sh", "-c", f"setsid dockerd >>{log} 2>&1 </dev/null &"], check=True
    )
    wait_until(daemon_answers)
