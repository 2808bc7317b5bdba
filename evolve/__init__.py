"""An evolutionary code-search engine: programs and agents, scored where they can't cheat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolve.api import open_run

__version__ = "0.1.0"
__all__ = ["__version__", "open_run"]


def __getattr__(name: str) -> Any:
    """`open_run` is imported when it is asked for: the command line starts without it."""
    if name == "open_run":
        from evolve.api import open_run

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
