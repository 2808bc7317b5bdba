"""An evolutionary code-search engine: programs and agents, scored out of their reach."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolve.api import open_run, run
    from evolve.candidate import Candidate, CandidateError, Case, Completed

__version__ = "0.1.0"
__all__ = [
    "Candidate",
    "CandidateError",
    "Case",
    "Completed",
    "__version__",
    "open_run",
    "run",
]

_HOMES = {"open_run": "evolve.api", "run": "evolve.api"} | dict.fromkeys(
    ("Candidate", "CandidateError", "Case", "Completed"), "evolve.candidate"
)


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that the command line starts fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
