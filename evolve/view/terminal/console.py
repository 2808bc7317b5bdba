"""The two consoles: data goes to stdout, everything else to stderr. NO_COLOR is honoured by rich."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Collection

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table


class Lasting(Console):
    """Goes on when nobody reads it any more; rich's own ends the process."""

    def on_broken_pipe(self) -> None:
        mute_closed()


out = Lasting(highlight=False, soft_wrap=True)
err = Lasting(stderr=True, highlight=False, soft_wrap=True)
_UNBOUNDED = 1_000_000  # columns: no table is as wide


class DataTable(Table):
    """A table of which nothing is cut: its `whole` columns keep one line, the others wrap where the
    terminal is narrow. What is no terminal (a pipe, a file) gets one line a row."""

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
            # rich would cut it where even the others' narrowest leave no room
            if column.no_wrap:
                column.min_width = max(
                    cell_len(str(cell)) for cell in (column.header, *column.cells)
                )
        if not console.is_terminal:
            options = options.update(max_width=_UNBOUNDED)
        return super().__rich_console__(console, options)


def number(value: float | None) -> str:
    """A score at full precision; a dash for none."""
    return "-" if value is None else repr(value)


def mute_closed() -> None:
    """Nobody reads an output any more (`| head`): from now on it goes nowhere, and work goes on."""
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
        if any(found & (select.POLLERR | select.POLLHUP) for _, found in poll.poll(0)):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def counted(number: int, word: str) -> str:
    """ "1 case", "2 cases"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def of_limit(limit: float | None, form: str = "{:,}") -> str:
    """What stands behind a figure that has a limit; empty: it has none."""
    return "" if limit is None else f" of {form.format(limit)}"


def paged(what: RenderableType, wanted: bool = True) -> None:
    """Print it; through a pager when a person looks at it and it is longer than the screen."""
    lines = len(out.render_lines(what, pad=False)) if wanted and out.is_terminal else 0
    if lines <= out.height:
        out.print(what)
        return
    os.environ.setdefault("LESS", "-R")
    with out.pager(styles=not out.no_color):
        out.print(what)
