"""Memory and threads of a process and its descendants."""

import functools
import os
from contextlib import suppress
from pathlib import Path

import psutil

from evolve.sandbox.inside import watch


def used(pid: int, enough_bytes: int) -> watch.Used:
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
    family: list[int] = []
    with suppress(psutil.NoSuchProcess):
        family = _family(pid)
    return watch.used_by(list(map(str, family)), enough_bytes)


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
