"""What can go wrong with an archive; each error says what to do next."""

from __future__ import annotations

from pathlib import Path


class ArchiveError(Exception):
    """The archive can't be used; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NotFound(ArchiveError):
    """No such proposal, or the prefix fits several."""


class StorageFull(ArchiveError):
    """The disk is full, read-only or locked by another; nothing that was committed is lost."""


def moved(path: Path) -> ArchiveError:
    """What to say when a part of the run folder is where it was no longer."""
    return ArchiveError(
        f"{path} is gone: was the run moved or deleted?",
        "what is in it is whole; from its new place: evolve resume PATH",
    )
