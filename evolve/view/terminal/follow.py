"""The view of one's own run: what it tells comes from the archive's events, as for every other view.

Figures that the engine has at hand (rates, what is in flight) come from it; and what can't wait for the
disk, as that it is full, is told at once.
"""

from __future__ import annotations

import threading
from pathlib import Path

from evolve.archive import ArchiveError, ArchiveReader, Proposal
from evolve.engine.progress import Progress
from evolve.runs.events import ENDS, Finished, follow
from evolve.runs.folder import RunFolder
from evolve.runs.launch import RunOutcome
from evolve.tasks import Task

PAUSE_S = 0.2


class Streaming:
    """Follows the run's events in a thread; what is seen is told through `ended`."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, message: str) -> None:
        """A line before or beside the run."""
        raise NotImplementedError

    def ended(self, event: Finished) -> None:
        """A proposal is scored, failed or rejected."""
        raise NotImplementedError

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Begin to follow."""
        self.progress = progress
        reader = ArchiveReader.open(run.database)
        after = reader.last_event()
        reader.close()
        self._thread = threading.Thread(
            target=self._follow, args=(run.database, after), name="events", daemon=True
        )
        self._thread.start()

    def finished(
        self, proposal: Proposal, score: float | None, progress: Progress
    ) -> None:
        """Figures of the engine; the news themselves come as events."""
        self.progress = progress

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Everything that has happened is told before this returns."""
        self.progress = outcome.progress
        self.close()

    def close(self) -> None:
        """Stop following."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _follow(self, database: Path, after: int) -> None:
        try:
            reader = ArchiveReader.open(database)
            for found in follow(reader, after, self._over.is_set, PAUSE_S, ENDS):
                for event in found:
                    if isinstance(event, Finished):
                        self.ended(event)
            reader.close()
        # the run itself goes on, and says what is wrong with the disk
        except ArchiveError as error:
            self.note(f"the view ends: {error.message}")
