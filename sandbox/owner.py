"""The identity of a process: its id and start time, as ids are reused."""

import os
from pathlib import Path


def this_process() -> str:
    """Return the name of this process.

    Returns:
        "PID-START".
    """
    return f"{os.getpid()}-{start_time(os.getpid())}"


def is_gone(name: str) -> bool:
    """Return whether a process has exited.

    Args:
        name: As `this_process` returns it; any other text counts as not gone.
    """
    pid, _, started = name.partition("-")
    return pid.isdigit() and start_time(int(pid)) != started


def start_time(pid: int) -> str:
    """Return the start time of a process.

    Args:
        pid: Its id.

    Returns:
        Ticks since the machine was started; "gone" if there is no such process.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return "gone"
