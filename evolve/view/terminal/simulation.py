"""`evolve simulate` as a table: mean worth of what each policy picks, and its standard error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from evolve.search.simulated import Result
from evolve.view.terminal.console import DataTable


class Figures(NamedTuple):
    """What a policy reached over all seeds."""

    worth: float
    standard_error: float
    variants: float


def figures_of(results: Sequence[Result]) -> Figures:
    """Means over runs; at least two."""
    worths = [result.worth for result in results]
    return Figures(
        fmean(worths),
        stdev(worths) / math.sqrt(len(worths)),
        fmean(result.variants for result in results),
    )


def simulation_table(
    found: Mapping[str, Figures], seeds: int, evaluations: int
) -> DataTable:
    """The best first."""
    figures = ("true worth of its pick", "standard error", "variants")
    table = DataTable(
        "policy",
        *figures,
        whole=("policy",),
        right=figures,
        title=f"{seeds} seeds, {evaluations} evaluations each",
    )
    for name, row in sorted(found.items(), key=lambda item: -item[1].worth):
        table.add_row(
            name, f"{row.worth:.4f}", f"{row.standard_error:.4f}", f"{row.variants:.0f}"
        )
    return table
