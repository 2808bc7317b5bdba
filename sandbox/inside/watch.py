"""What all processes of a candidate use at a moment: memory, threads, processor time.

Used by the fork server, the first process of its box. Standard library only.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import traces

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
# fields of /proc/PID/stat, counted from the one behind the name
_TIMES, _THREADS = slice(11, 15), 17


class Used(NamedTuple):
    """What all processes in this box but its first one use now."""

    memory_bytes: int
    threads: int


class Spent(NamedTuple):
    """What they have used so far, children that were waited for included."""

    cpu_s: float
    peak_kib: int


def used(enough_bytes: int, waiting: int = 0) -> Used:
    """Sum over all processes but this one and those of the next candidate, which waits.

    Pages that several processes share count for each of them; only where that comes to more than
    `enough_bytes` are they counted in parts, which is slower.
    """
    pids = _others(waiting)
    memory = sum(_resident(pid) for pid in pids)
    if memory > enough_bytes:
        memory = sum(_own_share(pid) for pid in pids)
    return Used(memory, sum(_threads(pid) for pid in pids))


def spent(waiting: int = 0) -> Spent:
    """Sum of processor time and the largest resident size, over the same processes as `used`."""
    pids = _others(waiting)
    ticks = sum(int(field) for pid in pids for field in _stat(pid)[_TIMES])
    return Spent(ticks * _TICK_S, max((_peak_kib(pid) for pid in pids), default=0))


def _others(waiting: int) -> list[str]:
    found = {name for name in os.listdir("/proc") if name.isdigit()}
    return sorted(found - {str(os.getpid()), *map(str, traces.family(waiting))})


def _resident(pid: str) -> int:
    fields = _read(pid, "statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def _own_share(pid: str) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _threads(pid: str) -> int:
    fields = _stat(pid)
    return int(fields[_THREADS]) if fields else 0


def _peak_kib(pid: str) -> int:
    for line in _read(pid, "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0  # a zombie


def _stat(pid: str) -> list[str]:
    return _read(pid, "stat").rpartition(")")[2].split()


def _read(pid: str, name: str) -> str:
    """The file's text; empty when the process has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/{name}") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""
