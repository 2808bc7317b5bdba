"""A process and all below it: the memory that they hold, and how many threads they are."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil


class Used(NamedTuple):
    """What a family of processes uses; nothing once its first process is gone."""

    memory_bytes: int
    threads: int


def used(pid: int, enough_bytes: int) -> Used:
    """What the process and all below it use.

    Pages that several share count for each of them; only where that comes to more than
    `enough_bytes` are they counted in parts, which is slower.
    """
    quick = _sum(pid, _resident)
    return quick if quick.memory_bytes <= enough_bytes else _sum(pid, _own_share)


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _own_share(process: psutil.Process) -> int:
    """Pages that several processes share count in parts, where that may be read."""
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
            continue  # it ended meanwhile
    return Used(memory, threads)


def _family(pid: int) -> list[int]:
    """The process and all below it, without a look at every process of the machine."""
    if not _lists_children():
        return [
            pid,
            *(child.pid for child in psutil.Process(pid).children(recursive=True)),
        ]
    family = [pid]
    for member in family:  # it grows meanwhile
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended
            for thread in os.listdir(f"/proc/{member}/task"):
                text = Path(f"/proc/{member}/task/{thread}/children").read_text()
                family += map(int, text.split())
    return family


@functools.cache
def _lists_children() -> bool:
    """Whether this kernel lists the children of a process (CONFIG_PROC_CHILDREN)."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()
