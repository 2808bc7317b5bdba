"""The two consoles: data goes to stdout, everything else to stderr. NO_COLOR is honoured by rich."""

from __future__ import annotations

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def number(value: float | None) -> str:
    """A score at full precision; a dash for none."""
    return "-" if value is None else repr(value)
