"""The live view of a run in a terminal."""

import time
from collections import Counter, deque

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from evolve.archive import Spend
from evolve.config import Settings
from evolve.engine.progress import Progress
from evolve.runs.events import Finished
from evolve.runs.folder import RunFolder
from evolve.runs.launch import RunOutcome
from evolve.tasks import Task
from evolve.text import one_line
from evolve.view.terminal.console import err, note, number, of_limit
from evolve.view.terminal.follow import Streaming
from evolve.view.terminal.lines import closing_lines, gap_to_best_known

RECENT = 8


class LiveView(Streaming):
    """View with best, rate, spend, failures and latest candidates, redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self._run: RunFolder | None = None
        self._task: Task | None = None
        self._began = time.monotonic()
        self._improved = time.monotonic()
        self._begun_with = 0
        self._causes: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=RECENT)
        self._message = ""
        self._live = Live(
            console=err, refresh_per_second=4, transient=True, get_renderable=self._draw
        )

    def note(self, message: str) -> None:
        """Print a line that stays.

        Args:
            message: for people
        """
        note(message)

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Start to draw and follow the run.

        Args:
            run: its folder
            task: its task
            progress: figures at the start
        """
        self._run, self._task = run, task
        self._began = self._improved = time.monotonic()
        self._begun_with = progress.variants
        self._live.start()
        super().launched(run, task, progress)

    def ended(self, event: Finished) -> None:
        """Add one candidate.

        Args:
            event: from the archive
        """
        self._message = ""
        if event.best:
            self._improved = time.monotonic()
        if event.reason:
            self._causes[event.reason] += 1
        what = (
            number(event.score)
            if event.score is not None
            else f"{event.reason}: {event.message}"
        )
        self._recent.append(
            f"{'*' if event.best else ' '} {event.proposal[:8]} {event.operator:<10} "
            f"{one_line(what, 80)}"
        )

    def waiting(self, message: str) -> None:
        """Show that the machine failed and is waited for.

        Args:
            message: for people
        """
        self._message = message

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Stop drawing and print the summary.

        Args:
            outcome: how the run ended
            task: its task
        """
        super().done(outcome, task)
        for line in closing_lines(outcome, task):
            err.print(line)

    def close(self) -> None:
        """Release the terminal."""
        super().close()
        self._live.stop()

    def _draw(self) -> RenderableType:
        if self.progress is None or self._run is None or self._task is None:
            return Text("")
        table = Table.grid(padding=(0, 2))
        for name, value in self._rows(self.progress, self._task, self._run.settings):
            table.add_row(Text(name, style="dim"), Text(value))
        title = Text(f"{self._run.name} · {self._task.spec.name}", style="bold")
        recent = Text(
            "\n".join(self._recent), style="dim", no_wrap=True, overflow="ellipsis"
        )
        return Group(title, table, recent, Text(self._message, style="yellow"))

    def _rows(
        self, progress: Progress, task: Task, limits: Settings
    ) -> list[tuple[str, str]]:
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = 60.0 * (progress.variants - self._begun_with) / seconds
        rows = [
            (
                "best",
                number(progress.best_score)
                + gap_to_best_known(task, progress.best_score),
            ),
            (
                "variants",
                f"{progress.variants}{of_limit(limits.max_variants)} ({progress.failed} "
                f"failed), {progress.rejected} rejected, {progress.in_flight} in flight, "
                f"{rate:.0f} a minute",
            ),
            (
                "time",
                f"{seconds:.0f} s{of_limit(limits.max_time_s, '{:g} s')}, improved "
                f"{time.monotonic() - self._improved:.0f} s ago",
            ),
        ]
        if progress.spend.calls:
            rows.append(("spend", spend_line(progress.spend, limits)))
        if self._causes:
            rows.append(
                (
                    "causes",
                    ", ".join(
                        f"{name} {count}" for name, count in self._causes.most_common(5)
                    ),
                )
            )
        return rows


def spend_line(spend: Spend, limits: Settings) -> str:
    """Describe the costs of calls and the budgets.

    Args:
        spend: sums over the calls
        limits: settings with the budgets

    Returns:
        One line.
    """
    return (
        f"${spend.usd:.4f}{of_limit(limits.budget_usd, '${:g}')}, {spend.tokens:,}"
        f"{of_limit(limits.max_tokens)} tokens, {spend.calls:,}{of_limit(limits.max_calls)} calls"
    )
