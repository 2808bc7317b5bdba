"""The scorer's memory limit: it is watched, since reserved memory does no harm."""

import asyncio
import subprocess
from pathlib import Path

import psutil

from evolve.sandbox.family import used
from evolve.tasks import Task

_MIB = 1 << 20
_SHARE = 0.5  # of the machine's memory, if the task sets no limit
_CONTAINER = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
_FASTEST = 10e9  # bytes per second: processes do not fill memory faster
_SHORTEST_S, _LONGEST_S = 0.05, 1.0


def memory_limit(task: Task) -> int:
    """Return the memory limit of a scorer with all its child processes.

    Args:
        task: the task

    Returns:
        Bytes.
    """
    given = task.spec.limits.scorer_memory_mb
    return given * _MIB if given is not None else int(_SHARE * machine_memory())


def machine_memory() -> int:
    """Return the memory of this machine or of the surrounding container.

    Returns:
        Bytes.
    """
    sizes = [int(psutil.virtual_memory().total)]
    for path in map(Path, _CONTAINER):
        text = path.read_text().strip() if path.exists() else ""
        if text.isdigit():  # else "max"
            sizes.append(int(text))
    return min(sizes)


async def wait_until_above(
    process: subprocess.Popen[bytes], limit_bytes: int
) -> int | None:
    """Wait until a process and its descendants exceed a memory limit.

    Checks are rare while there is room, and frequent near the limit.

    Args:
        process: the process
        limit_bytes: the limit

    Returns:
        Bytes in use; None if the process ended.
    """
    while process.poll() is None:
        try:
            memory = used(process.pid, limit_bytes).memory_bytes
        except OSError:  # no descriptor is free now
            await asyncio.sleep(_SHORTEST_S)
            continue
        if memory > limit_bytes:
            return memory
        room_s = (limit_bytes - memory) / _FASTEST
        await asyncio.sleep(min(_LONGEST_S, max(_SHORTEST_S, room_s)))
    return None
