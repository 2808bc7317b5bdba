"""Task directories that the user has accepted as they are: `evolve trust DIR`."""

from collections.abc import Sequence
from pathlib import Path

from evolve.errors import TrustError
from evolve.tasks.files import task_files
from evolve.text import quoted
from evolve.trust import store


def digest_of(folder: Path) -> str:
    """Return a digest of all files of a task.

    Args:
        folder: The task directory.

    Returns:
        64 hexadecimal digits; any change of a file changes them.

    Raises:
        TaskError: A link leads out of the directory.
    """
    return store.digest_of_files(folder, task_files(folder))


def accept(folder: Path) -> None:
    """Record that the user accepts a task as it is now.

    Args:
        folder: The task directory.

    Raises:
        TaskError: A link leads out of the directory.
        PrerequisiteError: The user's data directory can't be written.
    """
    store.accept(digest_of(folder))


def require_accepted(folder: Path, wishes: Sequence[str]) -> None:
    """Refuse what an ordinary task may not do, unless the user has accepted this one.

    Args:
        folder: The task directory.
        wishes: What it wants, each with the flag that allows it if there is one.

    Raises:
        TrustError: It wants something, and it is not accepted as it is now.
    """
    if wishes and not store.is_accepted(digest_of(folder)):
        raise TrustError(
            "the task wants what a task may not choose:\n  " + "\n  ".join(wishes),
            f"if you trust its author with your account: evolve trust {quoted(folder)}",
        )
