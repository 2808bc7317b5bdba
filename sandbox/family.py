"""Memory and threads of a process and its descendants."""

import functools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil


class Used(NamedTuple):
    """Memory and threads of a process family; zero once its first process is gone."""

    memory_bytes: int
    threads: int


def used(pid: int, enough_bytes: int) -> Used:
    """Return the resources of a process and its descendants.

    Pages shared by several processes count for each of them. Only if that sum exceeds
    `enough_bytes` is the proportional share of each process used instead, which is
    slower.

    Args:
        pid: Id of the first process.
        enough_bytes: Sum up to which the quick count is good enough.

    Returns:
        Memory in bytes and number of threads.
    """
    quick = _sum(pid, _resident)
    return quick if quick.memory_bytes <= enough_bytes else _sum(pid, _own_share)


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _own_share(process: psutil.Process) -> int:
    """Return the process's memory with a share of shared pages, if that may be read."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return _resident(process)


def _sum(pid: int, size: Callable[[psutil.Process], int]) -> Used:
    memory = threads = 0
    family: list[int] = []
    with suppress(psutil.NoSuchProcess):
        family = _family(pid)
    for member in family:
        try:
            process = psutil.Process(member)
            memory += size(process)
            threads += process.num_threads()
        except psutil.NoSuchProcess:
            continue  # it has just exited
    return Used(memory, threads)


def _family(pid: int) -> list[int]:
    """Return a process and its descendants, reading few other processes."""
    if not _lists_children():
        return [
            pid,
            *(child.pid for child in psutil.Process(pid).children(recursive=True)),
        ]
    family = [pid]
    for member in family:  # the list grows during the loop
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just exited
            for thread in os.listdir(f"/proc/{member}/task"):
                text = Path(f"/proc/{member}/task/{thread}/children").read_text()
                family += map(int, text.split())
    return family


@functools.cache
def _lists_children() -> bool:
    """Return whether this kernel lists a process's children (CONFIG_PROC_CHILDREN)."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()
