"""Access to the held-out cases: looks are recorded in advance, and limited to one.

Promoting and verifying are looks: known scores on these cases can influence a choice.
"""

from typing import NamedTuple

from evolve.archive import Archive, ArchiveReader, Event
from evolve.errors import UsageError
from evolve.runs.folder import RunFolder
from evolve.timing.confirmation import CONFIRMED

LOOKED, PROMOTED = "looked at heldout", "promotion"  # kinds of events


class HeldOutAccess(NamedTuple):
    """All looks of a run.

    Attributes:
        champions: ids of the variants that were looked at
        open: the last look if it was not finished, else None
    """

    champions: tuple[str, ...]
    open: Event | None

    @classmethod
    def read(cls, archive: ArchiveReader) -> "HeldOutAccess":
        """Read the looks from the events.

        A promotion that shows held-out scores finishes the look before it. The end of a
        run of a timed or noisy task is a look that is finished at once.

        Args:
            archive: of the run

        Returns:
            The looks.
        """
        seen = [
            event
            for event in archive.events()
            if event.kind in (LOOKED, CONFIRMED)
            or (event.kind == PROMOTED and event.data["heldout"])
        ]
        champions = tuple(
            str(event.data["champion" if event.kind == LOOKED else "variant"])
            for event in seen
            if event.kind in (LOOKED, CONFIRMED)
        )
        return cls(champions, seen[-1] if seen and seen[-1].kind == LOOKED else None)

    def goes_on(self, champion: str) -> bool:
        """Return whether a look for this variant is unfinished and may be resumed.

        Args:
            champion: id of the variant

        Returns:
            True if resuming it is still the same look.
        """
        return self.open is not None and self.open.data["champion"] == champion

    def refuse(
        self, again: bool, champion: str | None = None, or_else: str = ""
    ) -> None:
        """Refuse a further look: cases used for selection are no longer held out.

        Args:
            again: allow it anyway
            champion: id of the variant; None if it is not known yet, then an open look
                may go on
            or_else: added to the hint

        Raises:
            UsageError: the cases were looked at before
        """
        goes_on = self.open is not None if champion is None else self.goes_on(champion)
        if self.champions and not again and not goes_on:
            raise UsageError(
                f"the held-out cases were looked at for {self.champions[-1]} already",
                f"--again allows one more look, which is recorded{or_else}",
            )


def record_look(run: RunFolder, variant: str, again: bool) -> bool:
    """Record a look at the held-out cases for a variant, outside of a promotion.

    Args:
        run: folder of the run
        variant: id of the variant
        again: allow a further look

    Returns:
        False if the variant was looked at before, so that nothing new is learned.

    Raises:
        UsageError: the cases were looked at for another variant
        RunLocked: the run is running
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
