"""The live view of a run in a terminal."""

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from evolve.engine.progress import Progress
from evolve.runs.events import Finished
from evolve.runs.folder import RunFolder
from evolve.runs.launch import RunOutcome
from evolve.runs.reader import OpenRun
from evolve.tasks import Task
from evolve.view.terminal.console import err, note
from evolve.view.terminal.follow import Streaming
from evolve.view.terminal.lines import closing_lines
from evolve.view.terminal.log import Watched


class LiveView(Streaming):
    """The view of `evolve watch` for a run in this process, redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self._watched: Watched | None = None
        self._message = ""
        self._live = Live(
            console=err, refresh_per_second=2, transient=True, get_renderable=self._draw
        )

    def note(self, message: str) -> None:
        """Print a line that stays.

        Args:
            message: the line
        """
        note(message)

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Start to draw and follow the run.

        Args:
            run: its folder
            task: its task
            progress: its state
        """
        self._watched = Watched(OpenRun(run))
        self._live.start()
        super().launched(run, task, progress)

    def ended(self, event: Finished) -> None:
        """Add one candidate.

        Args:
            event: its end
        """
        self._message = ""
        if self._watched is not None:
            self._watched.take([event])

    def waiting(self, message: str) -> None:
        """Show that the machine failed and is waited for.

        Args:
            message: the fault
        """
        self._message = message

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Stop drawing and print the summary.

        Args:
            outcome: result of the run
            task: its task
        """
        super().done(outcome, task)
        for line in closing_lines(outcome, task):
            err.print(line)

    def close(self) -> None:
        """Release the terminal and the archive."""
        super().close()
        self._live.stop()
        if self._watched is not None:
            self._watched.close()
            self._watched = None

    def _draw(self) -> RenderableType:
        if self._watched is None:
            return Text("")
        return Group(self._watched.draw(), Text(self._message, style="yellow"))
