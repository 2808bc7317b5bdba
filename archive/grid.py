"""The MAP-Elites grid: cells over declared measures, the best variant of each, and its statistics.

Mouret and Clune 2015, "Illuminating search spaces by mapping elites", arXiv 1504.04909.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from evolve.archive.measures import Measure


class Status(IntEnum):
    """What adding meant for the grid, from least to most."""

    NOT_ADDED = 0
    IMPROVED = 1
    NEW = 2


class GridStats(NamedTuple):
    """Names and meanings as in pyribs (Tjanaka et al. 2023); obj_* are None for an empty grid."""

    num_elites: int
    coverage: float  # the share of cells that are filled
    qd_score: float  # the sum of the elites' values above the offset
    norm_qd_score: float  # over all cells
    obj_max: float | None
    obj_mean: float | None


class Grid:
    """Elites by cell. Of equals the first stays. Rows are those of a snapshot."""

    def __init__(self, measures: Sequence[Measure], offset: float = 0.0) -> None:
        self.measures, self._offset = tuple(measures), offset
        self._members: dict[int, list[tuple[float, int]]] = {}  # cell -> (-value, row)
        self._elite: dict[int, tuple[float, int]] = {}

    @property
    def cells(self) -> int:
        return math.prod(measure.bins for measure in self.measures)

    @property
    def elites(self) -> Mapping[int, int]:
        """Cell -> row of its elite, in the order in which the cells were filled."""
        return {cell: row for cell, (_, row) in self._elite.items()}

    def cell(self, values: Sequence[float]) -> int:
        """The cell of measures, in C order; what is outside counts to the border."""
        cell = 0
        for measure, value in zip(self.measures, values, strict=True):
            cell = cell * measure.bins + bin_of(measure, value)
        return cell

    def add(self, row: int, cell: int, value: float) -> Status:
        """A variant was scored."""
        self._members.setdefault(cell, []).append((-value, row))
        held = self._elite.get(cell)
        if held is not None and (-value, row) >= held:
            return Status.NOT_ADDED
        self._elite[cell] = (-value, row)
        return Status.NEW if held is None else Status.IMPROVED

    def update(self, row: int, cell: int, value: float | None) -> None:
        """Its value became another, or it is not to be trusted any more (None)."""
        kept = [member for member in self._members.get(cell, ()) if member[1] != row]
        if value is not None:
            kept.append((-value, row))
        self._members[cell] = kept
        if kept:
            self._elite[cell] = min(kept)
        else:
            self._elite.pop(cell, None)

    def stats(self) -> GridStats:
        """pyribs' statistics."""
        values = np.array([-held[0] for held in self._elite.values()])
        if not len(values):
            return GridStats(0, 0.0, 0.0, 0.0, None, None)
        qd_score = float((values - self._offset).sum())
        return GridStats(
            len(values),
            len(values) / self.cells,
            qd_score,
            qd_score / self.cells,
            float(values.max()),
            float(values.mean()),
        )


def bin_of(measure: Measure, value: float) -> int:
    """Which of the equal steps; no number counts as the lowest."""
    if math.isnan(value):
        return 0
    share = (value - measure.low) / (measure.high - measure.low)
    return int(min(max(share * measure.bins, 0.0), measure.bins - 1))
