"""Current resource usage of all processes of a candidate: memory, threads, CPU time.

Used by the fork server, the first process of its box. Standard library only.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import traces

# in /proc/PID/status: pages in memory and in swap, and the tables that map them
_MEMORY = ("VmRSS:", "VmSwap:", "VmPTE:")
# What a socket may hold in the kernel at its usual size; a few are free of charge.
_SOCKET_BYTES, _FREE_SOCKETS = 212_992, 64
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

    Page tables count, and so does what open sockets may hold in the kernel. Pages
    shared by several processes count for each of them. Only if that sum exceeds
    `enough_bytes` is the proportional share of each process used instead, which is
    slower.

    Args:
        enough_bytes: Sum up to which the quick count is good enough.
        waiting: The first process of the next candidate's namespaces; 0 for none.

    Returns:
        Memory in bytes and number of threads.
    """
    pids = others(waiting)
    sockets = _socket_bytes()
    memory = sockets + sum(_resident(pid) for pid in pids)
    if memory > enough_bytes:
        memory = sockets + sum(_own_share(pid) for pid in pids)
    return Used(memory, sum(_threads(pid) for pid in pids))


def files_in(place: str) -> int:
    """Return the number of files in a scratch file system, as the kernel counts them.

    Args:
        place: Its mount point.

    Returns:
        0 if it does not exist.
    """
    try:
        found = os.statvfs(place)
    except FileNotFoundError:
        return 0
    return found.f_files - found.f_ffree


def spent(waiting: int = 0) -> Spent:
    """Return total CPU time and largest peak memory, over the same processes as `used`.

    Args:
        waiting: The first process of the next candidate's namespaces; 0 for none.

    Returns:
        Seconds and KiB.
    """
    pids = others(waiting)
    ticks = sum(int(field) for pid in pids for field in stat(pid)[_TIMES])
    return Spent(ticks * _TICK_S, max((_peak_kib(pid) for pid in pids), default=0))


def others(waiting: int) -> list[str]:
    """Return the ids of all processes except this one and the next candidate's.

    Args:
        waiting: The first process of the next candidate's namespaces; 0 for none.

    Returns:
        Names of folders in /proc, sorted.
    """
    found = {name for name in os.listdir("/proc") if name.isdigit()}
    return sorted(found - {str(os.getpid()), *map(str, traces.family(waiting))})


def _resident(pid: str) -> int:
    return _kib(pid, "status", _MEMORY) * 1024


def _own_share(pid: str) -> int:
    tables = _kib(pid, "status", ("VmPTE:",))
    return (_kib(pid, "smaps_rollup", ("Pss:", "SwapPss:")) + tables) * 1024


def _kib(pid: str, name: str, keys: tuple[str, ...]) -> int:
    """Return the sum of some lines of a file in /proc, in KiB; 0 for a zombie."""
    lines = _read(pid, name).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(keys))


def _socket_bytes() -> int:
    """Return what the sockets of this box's network may hold, beyond a few of them."""
    used = _read("self", "net/sockstat").split()[2:3]  # sockets: used N
    return max(0, int(*used) - _FREE_SOCKETS) * _SOCKET_BYTES


def _threads(pid: str) -> int:
    fields = stat(pid)
    return int(fields[_THREADS]) if fields else 0


def _peak_kib(pid: str) -> int:
    return _kib(pid, "status", ("VmHWM:",))


def stat(pid: str) -> list[str]:
    """Return the fields of /proc/PID/stat after the name.

    Args:
        pid: Id of the process.

    Returns:
        The fields; none if it has ended.
    """
    return _read(pid, "stat").rpartition(")")[2].split()


def _read(pid: str, name: str) -> str:
    """Return the text of a file in /proc; empty if the process has just ended."""
    try:
        with open(f"/proc/{pid}/{name}") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""
