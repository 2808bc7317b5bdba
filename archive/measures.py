"""Measures: numbers that describe a variant apart from its score; axes of the grid."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from evolve.archive.records import Evaluation, Files
from evolve.archive.source import Token, tokens

BUILT_IN = ("code_length", "complexity", "runtime", "novelty", "behaviour")
_BRANCHES = {
    "if",
    "elif",
    "for",
    "while",
    "and",
    "or",
    "except",
    "catch",
    "case",
    "&&",
    "||",
    "?",
}


@dataclass(frozen=True)
class Measure:
    """One axis of the grid: `bins` equal steps from `low` to `high`."""

    name: str
    low: float
    high: float
    bins: int = 10


def measure_code(files: Files) -> dict[str, float]:
    """Return the measures of source code.

    McCabe 1976, "A Complexity Measure", by counting the words that branch, so that it
    works for any language.

    Args:
        files: Path -> content.

    Returns:
        `code_length`: tokens without comments; `complexity`: 1 plus the number of
        branches.
    """
    read = [tokens(path, content) for path, content in sorted(files.items())]
    return {
        "code_length": float(sum(map(len, read))),
        "complexity": 1.0 + sum(map(_branches, read)),
    }


def measure_rows(rows: Sequence[Evaluation]) -> dict[str, float]:
    """Return the measures of evaluations.

    Args:
        rows: Evaluations of one variant.

    Returns:
        The mean of each numeric, finite metric, and `runtime`: CPU seconds over all
        rows.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.metrics.items():
            # also for integers that no float holds
            if isinstance(value, (int, float)) and abs(value) <= sys.float_info.max:
                found.setdefault(name, []).append(float(value))
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return means | {"runtime": sum(row.cpu_s for row in rows)}


def _branches(found: Sequence[Token]) -> int:
    return sum(text in _BRANCHES for kind, text in found if kind in ("name", "sign"))
