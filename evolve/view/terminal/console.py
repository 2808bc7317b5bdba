"""The two consoles: data on stdout, everything else on stderr.

Rich honours NO_COLOR.
"""

import os
import select
import sys
import time
from collections.abc import Callable, Collection, Iterable

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.tree import Tree

from evolve.text import visible


class Lasting(Console):
    """A console that goes on after its reader has gone; rich's own ends the process.

    It is the one door to the terminal: whatever a candidate or a model wrote, no control
    character of theirs passes it.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render to segments that are safe to display."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Discard further output."""
        mute_closed()


# no emoji: `:x:` may be part of a name
out = Lasting(highlight=False, markup=False, emoji=False, soft_wrap=True)
err = Lasting(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
EVERY_S = 5.0  # between two messages on how far a long job is
_UNBOUNDED = 1_000_000  # columns, more than any table has


class DataTable(Table):
    """A table without truncation.

    Its `whole` columns stay on one line, and the others wrap in a narrow terminal.
    Output to a pipe or file has one line per row.

    Args:
        names: column titles
        whole: columns that never wrap
        right: right-aligned columns
        title: line above the table; None for no title
    """

    def __init__(
        self,
        *names: str,
        whole: Collection[str] = (),
        right: Collection[str] = (),
        title: str | None = None,
    ) -> None:
        super().__init__(
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
            title=title,
            title_justify="left",
        )
        for name in names:
            self.add_column(
                name,
                justify="right" if name in right else "left",
                overflow="fold",
                no_wrap=name in whole,
            )

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        for column in self.columns:
            # rich would cut it if the other columns left too little space
            if column.no_wrap:
                column.min_width = max(
                    cell_len(str(cell)) for cell in (column.header, *column.cells)
                )
        if not console.is_terminal:
            options = options.update(max_width=_UNBOUNDED)
        return super().__rich_console__(console, options)


class WholeTree(Tree):
    """A tree whose lines are never cut: a terminal wraps them, a file has them whole.

    Print it with `soft_wrap=True`.
    """

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        return super().__rich_console__(console, options.update(max_width=_UNBOUNDED))


def number(value: float | None) -> str:
    """Return a score at full precision.

    Args:
        value: the score, or None

    Returns:
        Its `repr`; a dash for None.
    """
    return "-" if value is None else repr(value)


def note(message: str) -> None:
    """Print a remark on what happens, in grey, on standard error.

    Args:
        message: one line
    """
    err.print(message, style="dim")


def mute_closed() -> None:
    """Redirect closed outputs (as after `| head`) to /dev/null and go on."""
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
        if any(found & (select.POLLERR | select.POLLHUP) for _, found in poll.poll(0)):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def counted(number: int, word: str) -> str:
    """Return a number with a noun, as in "1 case" or "2 cases".

    Args:
        number: the number
        word: the noun in the singular

    Returns:
        Text with a thousands separator.
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def of_limit(limit: float | None, form: str = "{:,}") -> str:
    """Return the limit of a figure, to be appended to it.

    Args:
        limit: the limit, or None
        form: format of the number

    Returns:
        As in " of 100"; empty without a limit.
    """
    return "" if limit is None else f" of {form.format(limit)}"


def paged(what: RenderableType, wanted: bool = True) -> None:
    """Print an output, through a pager if it is longer than the terminal.

    Args:
        what: the output
        wanted: allow the pager
    """
    lines = len(out.render_lines(what, pad=False)) if wanted and out.is_terminal else 0
    if lines <= out.height:
        out.print(what)
        return
    os.environ.setdefault("LESS", "-R")
    with out.pager(styles=not out.no_color):
        out.print(what)


def now_and_then(report: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that passes on one message in `EVERY_S` at most.

    Args:
        report: called with the message

    Returns:
        A function of a message.
    """
    reported = time.monotonic()

    def pass_on(message: str) -> None:
        nonlocal reported
        if time.monotonic() - reported >= EVERY_S:
            reported = time.monotonic()
            report(message)

    return pass_on
