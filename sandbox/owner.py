"""Which process something belongs to: its id and its start time, for ids are used again."""

from __future__ import annotations

import os
from pathlib import Path


def this_process() -> str:
    """A name of this process: "PID-START"."""
    return f"{os.getpid()}-{start_time(os.getpid())}"


def is_gone(name: str) -> bool:
    """Whether the process of that name has ended; what is no such name belongs to nobody we know."""
    pid, _, started = name.partition("-")
    return pid.isdigit() and start_time(int(pid)) != started


def start_time(pid: int) -> str:
    """In ticks since the machine was started; "gone" when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return "gone"
