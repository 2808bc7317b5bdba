"""Looks at the held-out cases: each is announced before it is taken, and there is one, unless asked.

Promoting looks, and so does verifying: whoever sees how a variant does on them may choose by it.
"""

from __future__ import annotations

from typing import NamedTuple

from evolve.archive import Archive, ArchiveReader, Event
from evolve.errors import UsageError
from evolve.runs.folder import RunFolder

LOOKED, PROMOTED = "looked at heldout", "promotion"  # kinds of events


class HeldOutAccess(NamedTuple):
    """All looks of a run, by their champions; `open` is the last one when it was not finished."""

    champions: tuple[str, ...]
    open: Event | None

    @classmethod
    def read(cls, archive: ArchiveReader) -> HeldOutAccess:
        """From the events: a promotion that shows what it saw finishes the look before it."""
        seen = [
            event
            for event in archive.events()
            if event.kind == LOOKED
            or (event.kind == PROMOTED and event.data["heldout"])
        ]
        champions = tuple(
            str(event.data["champion"]) for event in seen if event.kind == LOOKED
        )
        return cls(champions, seen[-1] if seen and seen[-1].kind == LOOKED else None)

    def goes_on(self, champion: str) -> bool:
        """Whether a look for this one was begun, and can be finished: it is still the same look."""
        return self.open is not None and self.open.data["champion"] == champion

    def refuse(
        self, again: bool, champion: str | None = None, or_else: str = ""
    ) -> None:
        """Whoever chooses by the held-out cases has none any more. Raises `UsageError`.

        Without a champion it is not known yet whether an open look goes on.
        """
        goes_on = self.open is not None if champion is None else self.goes_on(champion)
        if self.champions and not again and not goes_on:
            raise UsageError(
                f"the held-out cases were looked at for {self.champions[-1]} already",
                f"--again looks once more, which is recorded{or_else}",
            )


def record_look(run: RunFolder, variant: str, again: bool) -> bool:
    """Put down that somebody looks at the held-out cases for a variant, outside of a promotion.

    False: it was looked at for this one before, so nothing more is learned. Raises `UsageError` for
    another one, `RunLocked` while the run is at work.
    """
    with run.lock():
        archive = Archive.open_to_write(run.database)
        try:
            looks = HeldOutAccess.read(archive)
            rows = archive.evaluations(variant)
            if variant in looks.champions or any(
                row.split == "heldout" for row in rows
            ):
                return False
            looks.refuse(again, variant, "; --no-heldout leaves them out")
            archive.note_event(
                LOOKED,
                {"champion": variant, "again": bool(looks.champions), "by": "verify"},
            )
        finally:
            archive.close()
    return True
