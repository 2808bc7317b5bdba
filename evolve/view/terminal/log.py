"""Events of a run as lines of text: `evolve log` and `evolve watch`."""

import time
from collections import Counter, deque
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evolve.runs.events import (
    Adapted,
    Asked,
    Began,
    Finished,
    Halted,
    Noted,
    Planned,
    RunEvent,
    Signs,
    Steered,
    Waited,
)
from evolve.runs.reader import OpenRun
from evolve.text import one_line
from evolve.view.terminal.console import number
from evolve.view.terminal.status import status_data, status_lines

RECENT = 10


def log_line(event: RunEvent, all_: bool = False) -> Text | None:
    """Return an event as one line.

    Args:
        event: any event
        all_: include events that only `--all` shows

    Returns:
        The line; None for an event that is not shown.
    """
    text = _words(event)
    if text is None and all_:
        text = _small_words(event)
    if text is None:
        return None
    at = time.strftime("%H:%M:%S", time.localtime(event.at))
    return Text.assemble((f"{at} ", "dim"), text)


def _words(event: RunEvent) -> Text | None:
    if isinstance(event, Finished):
        return finished_line(event)
    if isinstance(event, Began):
        return Text(f"began, sandbox {one_line(event.sandbox, 40)}", style="bold")
    if isinstance(event, Halted):
        return Text(f"stopped: {one_line(event.reason, 200)}", style="bold")
    if isinstance(event, Waited):
        return Text(f"waiting: {one_line(event.message, 200)}", style="yellow")
    if isinstance(event, Adapted):
        return Text(f"model: {one_line(event.message, 200)}", style="yellow")
    if isinstance(event, Signs):
        return Text(
            f"sign at {event.variant[:8]}: {one_line(event.signs, 160)}", style="red"
        )
    if isinstance(event, Noted):
        return Text(
            f"notes for decision {abs(event.number)}: {one_line(event.text, 120)}",
            style="dim",
        )
    if isinstance(event, Steered):
        about = f" {event.proposal[:8]}" if event.proposal else ""
        return Text(f"{event.verb}{about} {one_line(event.text, 160)}", style="magenta")
    return None


def _small_words(event: RunEvent) -> Text:
    if isinstance(event, Planned):
        return Text(
            f"  {event.proposal[:8]} planned, number {event.number}", style="dim"
        )
    if isinstance(event, Asked):
        return Text(
            f"  {event.proposal[:8]} call {event.state}, {one_line(event.model, 40)}, "
            f"${event.cost_usd:.4f}",
            style="dim",
        )
    about = str(getattr(event, "proposal", None) or getattr(event, "decision", ""))
    return Text(f"  {about[:8]} {getattr(event, 'state', event.kind)}", style="dim")


def finished_line(event: Finished) -> Text:
    """Return the line of a finished proposal.

    Args:
        event: from the archive

    Returns:
        Number, id, operator, and score or failure.
    """
    mark = "*" if event.best and not event.quarantined else " "
    if event.score is None:
        what = Text(one_line(f"{event.reason}: {event.message}", 90), style="red")
    else:
        gain = "" if event.improvement is None else f" {event.improvement:+.4g}"
        what = Text.assemble(
            (number(event.score), "bold" if event.best else ""),
            (gain, "green" if (event.improvement or 0) > 0 else "dim"),
            (f"  {one_line(event.note, 60)}", "dim"),
        )
    return Text.assemble(
        (mark, "yellow"),
        f"{event.number:>5} {event.proposal[:8]} ",
        (f"{one_line(event.operator, 12):<10} ", "dim"),
        what,
    )


class Watched:
    """The live view of a run that another process executes.

    Args:
        run: the open run
    """

    def __init__(self, run: OpenRun) -> None:
        self._run, self._recent, self._causes = (
            run,
            deque[Text](maxlen=RECENT),
            Counter[str](),
        )

    def take(self, found: Sequence[RunEvent]) -> None:
        """Add new events.

        Args:
            found: in order
        """
        self._run.forget()
        for event in found:
            line = _words(event)
            if line is not None:
                self._recent.append(line)
            if isinstance(event, Finished) and event.reason:
                self._causes[event.reason] += 1

    def draw(self) -> RenderableType:
        """Return the whole view.

        Returns:
            Status, causes of failures and latest candidates.
        """
        title, *rest = status_lines(status_data(self._run))
        leader = self._run.leader
        if leader is not None and leader.finished_at is not None:
            rest.append(f"improved   {time.time() - leader.finished_at:.0f} s ago")
        if self._causes:
            causes = (
                f"{one_line(name, 30)} {n}" for name, n in self._causes.most_common(5)
            )
            rest.append(f"causes     {', '.join(causes)}")
        table = Table.grid(padding=(0, 1))
        for line in rest:
            table.add_row(Text(line, no_wrap=True, overflow="ellipsis"))
        recent = Text("\n", no_wrap=True, overflow="ellipsis").join(list(self._recent))
        return Group(Text(title, style="bold"), table, recent)

    def close(self) -> None:
        """Close the run."""
        self._run.close()
