"""What a task wants beyond an ordinary one, so that the user must have accepted it."""

from evolve.tasks.accepted import require_accepted
from evolve.tasks.task import Task


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
    environment, toml = task.spec.environment, task.folder / "task.toml"
    wishes = []
    if environment.image_network:
        wishes.append(f"{toml} environment.image_network: build with the network")
    if environment.builds:
        wishes.append(
            f"{toml} environment.builds: build {', '.join(environment.builds)} from "
            "source, in a box with the network"
        )
    return wishes
