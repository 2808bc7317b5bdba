"""The two consoles: data goes to stdout, everything else to stderr. NO_COLOR is honoured by rich."""

from __future__ import annotations

import os

from rich.console import Console, RenderableType

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def number(value: float | None) -> str:
    """A score at full precision; a dash for none."""
    return "-" if value is None else repr(value)


def paged(what: RenderableType, wanted: bool = True) -> None:
    """Print it; through a pager when a person looks at it and it is longer than the screen."""
    lines = len(out.render_lines(what, pad=False)) if wanted and out.is_terminal else 0
    if lines <= out.height:
        out.print(what)
        return
    os.environ.setdefault("LESS", "-R")
    with out.pager(styles=not out.no_color):
        out.print(what)
