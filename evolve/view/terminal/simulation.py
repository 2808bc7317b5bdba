"""`evolve simulate` as a table: true worth of each policy's pick, with its error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from evolve.search.simulated import Result
from evolve.view.terminal.console import DataTable


class Figures(NamedTuple):
    """Means of a policy over all seeds.

    Attributes:
        worth: true worth of the variant that it picks
        standard_error: of `worth`
        variants: number of variants that it made
    """

    worth: float
    standard_error: float
    variants: float


def figures_of(results: Sequence[Result]) -> Figures:
    """Return means over runs.

    Args:
        results: at least two

    Returns:
        The means.
    """
    worths = [result.worth for result in results]
    return Figures(
        fmean(worths),
        stdev(worths) / math.sqrt(len(worths)),
        fmean(result.variants for result in results),
    )


def simulation_table(
    found: Mapping[str, Figures], seeds: int, evaluations: int
) -> DataTable:
    """Return a table with one row per policy, best first.

    Args:
        found: policy -> means
        seeds: number of runs
        evaluations: number per run

    Returns:
        The table.
    """
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
