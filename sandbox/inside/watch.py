"""Current resource usage of all processes of a candidate: memory, threads, CPU time.

Used by the fork server, the first process of its box. Standard library only.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import traces

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
# fields of /proc/PID/stat, counted from the one after the name
_TIMES, _THREADS = slice(11, 15), 17


class Used(NamedTuple):
    """Current memory and threads of the candidate's processes."""

    memory_bytes: int
    threads: int


class Spent(NamedTuple):
    """CPU time so far, including waited-for children, and the largest peak memory."""

    cpu_s: float
    peak_kib: int


def used(enough_bytes: int, waiting: int = 0) -> Used:
    """Return the sums over all processes except this one and the next candidate's.

    Pages shared by several processes count for each of them. Only if that sum exceeds
    `enough_bytes` is the proportional share of each process used instead, which is
    slower.

    Args:
        enough_bytes: Sum up to which the quick count is good enough.
        waiting: The first process of the next candidate's namespaces; 0 for none.

    Returns:
        Memory in bytes and number of threads.
    """
    return used_by(_others(waiting), enough_bytes)


def used_by(pids: list[str], enough_bytes: int) -> Used:
    """Return the sums over some processes.

    Args:
        pids: Their ids; those that have exited count nothing.
        enough_bytes: Up to this sum of resident memory it is returned, which counts
            shared pages several times; above it, each process counts its share.

    Returns:
        Memory and threads.
    """
    memory = sum(_resident(pid) for pid in pids)
    if memory > enough_bytes:
        memory = sum(_own_share(pid) for pid in pids)
    return Used(memory, sum(_threads(pid) for pid in pids))


def spent(waiting: int = 0) -> Spent:
    """Return total CPU time and largest peak memory, over the same processes as `used`.

    Args:
        waiting: The first process of the next candidate's namespaces; 0 for none.

    Returns:
        Seconds and KiB.
    """
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
    return _resident(pid)


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
    """Return the text of a file in /proc; empty if the process has just ended."""
    try:
        with open(f"/proc/{pid}/{name}") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
