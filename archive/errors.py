"""Errors of an archive; each carries a hint about what to do next.

ArchiveError
├── NotFound
├── Damaged
└── StorageFull
"""

import shlex
from pathlib import Path


class ArchiveError(Exception):
    """The archive can't be used.

    Attributes:
        message: The fault.
        hint: What to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NotFound(ArchiveError):
    """No proposal matches, or a prefix matches several."""


class Damaged(ArchiveError):
    """The archive can't be read completely.

    Args:
        path: The database file, or another part of the run.
        why: The problem.
    """

    def __init__(self, path: Path, why: object) -> None:
        run = shlex.quote(str(path.parent))
        super().__init__(
            f"{path} is damaged: {why}",
            f"save all that is readable: evolve rescue {run} -o NEW",
        )


class StorageFull(ArchiveError):
    """The disk is full or read-only, or the database is locked; no commit is lost."""


def moved(path: Path) -> ArchiveError:
    """Return the error for a part of the run directory that no longer exists.

    Args:
        path: The missing file or directory.

    Returns:
        An error that names `path` and the command to resume from its new place.
    """
    return ArchiveError(
        f"{path} is gone: was the run moved or deleted?",
        "its data is intact; continue from the new place: evolve resume PATH",
    )
