"""What a task wants beyond an ordinary one, so that the user must have accepted it."""

import psutil

from evolve.tasks.accepted import require_accepted
from evolve.tasks.task import Task

MEMORY_SHARE = 0.8  # of the machine's memory, for one candidate
PROCESSES = 4096


def require_ordinary(task: Task) -> None:
    """Refuse a task that wants more than an ordinary one and is not accepted.

    Args:
        task: the task; the copy of a run that the user signed may want everything

    Raises:
        TrustError: names what it wants, and the command that accepts it
    """
    if not task.trusted:
        require_accepted(task.folder, wishes_of(task))


def wishes_of(task: Task) -> list[str]:
    """Return what a task wants beyond an ordinary one.

    Args:
        task: the task

    Returns:
        One line each; empty for an ordinary task.
    """
    limits, environment = task.spec.limits, task.spec.environment
    toml, total = task.folder / "task.toml", psutil.virtual_memory().total
    wishes = []
    if environment.image_network:
        wishes.append(f"{toml} environment.image_network: build with the network")
    if environment.builds:
        wishes.append(
            f"{toml} environment.builds: build {', '.join(environment.builds)} from "
            "source, in a box with the network"
        )
    if limits.memory_mb << 20 > total * MEMORY_SHARE:
        wishes.append(
            f"{toml} limits.memory_mb = {limits.memory_mb}: this machine has "
            f"{total >> 20} MiB"
        )
    if limits.disk_mb << 20 > total * MEMORY_SHARE:
        wishes.append(
            f"{toml} limits.disk_mb = {limits.disk_mb}: such files are in memory, and "
            f"this machine has {total >> 20} MiB"
        )
    if limits.processes > PROCESSES:
        wishes.append(f"{toml} limits.processes = {limits.processes}")
    return wishes
