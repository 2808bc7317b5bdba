"""The view of a run in this process, driven by the archive's events like other views.

Figures that the engine holds in memory (rates, calls in flight) come from the engine.
Urgent messages, for example about a full disk, do not wait for events.
"""

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
    """Base of views that follow a run's events in a thread, calling `ended`."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, message: str) -> None:
        """Show a line outside the list of candidates.

        Args:
            message: for people
        """
        raise NotImplementedError

    def ended(self, event: Finished) -> None:
        """Show a proposal that was scored, failed or rejected.

        Args:
            event: from the archive
        """
        raise NotImplementedError

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Start to follow the run.

        Args:
            run: its folder
            task: its task
            progress: figures at the start
        """
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
        """Take over figures of the engine; the proposal itself comes as an event.

        Args:
            proposal: the finished proposal
            score: its score; None without one
            progress: current figures
        """
        self.progress = progress

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Show all remaining events, then stop following.

        Args:
            outcome: how the run ended
            task: its task
        """
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
        # the run itself goes on and reports problems with the disk
        except ArchiveError as error:
            self.note(f"the view ends: {error.message}")
