"""Measures: what a variant is, beside how good it is. Axes of the grid, numbers in the row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.archive.records import Evaluation
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


def measure_code(files: Mapping[str, bytes]) -> dict[str, float]:
    """`code_length` in tokens, comments left out, and `complexity`: one and a branch each.

    McCabe 1976, "A Complexity Measure", by the words that branch: it takes any language.
    """
    read = [tokens(path, content) for path, content in sorted(files.items())]
    return {
        "code_length": float(sum(map(len, read))),
        "complexity": 1.0 + sum(map(_branches, read)),
    }


def measure_rows(rows: Sequence[Evaluation]) -> dict[str, float]:
    """`runtime`, the processor seconds of all cases, and means of the metrics that are numbers."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.metrics.items():
            if isinstance(value, (int, float)) and math.isfinite(value):
                found.setdefault(name, []).append(float(value))
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return means | {"runtime": sum(row.cpu_s for row in rows)}


def _branches(found: Sequence[Token]) -> int:
    return sum(text in _BRANCHES for kind, text in found if kind in ("name", "sign"))
