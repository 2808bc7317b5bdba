"""Limits of a task that this machine can't give are lowered to what it has."""

import os

from evolve.evaluation.memory import machine_memory
from evolve.tasks.spec import LimitsSpec

MEMORY_SHARE = 0.8  # of the machine's memory, for one candidate
PROCESSES = 4096
_MIB = 1 << 20


def fitted(limits: LimitsSpec) -> tuple[LimitsSpec, list[str]]:
    """Return limits that this machine can give.

    Args:
        limits: Of a task.

    Returns:
        The limits, and a line for each that was lowered.
    """
    memory_mb = int(machine_memory() * MEMORY_SHARE) // _MIB
    most = {
        "cpus": (float(len(os.sched_getaffinity(0))), "processors of this machine"),
        "memory_mb": (memory_mb, "80 % of this machine's memory"),
        "disk_mb": (memory_mb, "such files are in memory: 80 % of this machine's"),
        "processes": (PROCESSES, "the most that one candidate may have"),
    }
    lowered: dict[str, float] = {}
    notes = []
    for name, (highest, why) in most.items():
        asked = getattr(limits, name)
        if asked > highest:
            lowered[name] = highest
            notes.append(f"limits.{name} = {asked:g} is lowered to {highest:g}: {why}")
    return limits.model_copy(update=lowered), notes
