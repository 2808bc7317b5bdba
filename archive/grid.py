"""The MAP-Elites grid: cells over declared measures, the elite of each, and statistics.

Mouret and Clune 2015, "Illuminating search spaces by mapping elites", arXiv 1504.04909.
"""

import math
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from evolve.archive.measures import Measure


class Status(IntEnum):
    """The effect of `Grid.add`, from least to most."""

    NOT_ADDED = 0
    IMPROVED = 1
    NEW = 2


class GridStats(NamedTuple):
    """Statistics of a grid, named as in pyribs (Tjanaka et al. 2023).

    Attributes:
        num_elites: Number of filled cells.
        coverage: Filled cells over all cells, 0 to 1.
        qd_score: Sum of the elites' values above the offset.
        norm_qd_score: `qd_score` over the number of cells.
        obj_max: Highest value; None for an empty grid.
        obj_mean: Mean value; None for an empty grid.
    """

    num_elites: int
    coverage: float
    qd_score: float
    norm_qd_score: float
    obj_max: float | None
    obj_mean: float | None


class Grid:
    """Elites by cell; on ties the earlier one stays. Rows are those of a snapshot.

    Args:
        measures: The axes.
        offset: Value that counts as zero for the QD score.
    """

    def __init__(self, measures: Sequence[Measure], offset: float = 0.0) -> None:
        self.measures, self._offset = tuple(measures), offset
        self._members: dict[int, list[tuple[float, int]]] = {}  # cell -> (-value, row)
        self._elite: dict[int, tuple[float, int]] = {}

    @property
    def cells(self) -> int:
        """Number of cells: the product of the bins of all measures."""
        return math.prod(measure.bins for measure in self.measures)

    @property
    def elites(self) -> Mapping[int, int]:
        """Cell -> row of its elite, in the order in which the cells were filled."""
        return {cell: row for cell, (_, row) in self._elite.items()}

    def cell(self, values: Sequence[float]) -> int:
        """Return the index of a cell, in C order.

        Args:
            values: One number per measure; values outside the range fall into the
                border cells.

        Returns:
            From 0 to `cells` - 1.
        """
        cell = 0
        for measure, value in zip(self.measures, values, strict=True):
            cell = cell * measure.bins + bin_of(measure, value)
        return cell

    def add(self, row: int, cell: int, value: float) -> Status:
        """Add a scored variant.

        Args:
            row: Row of the variant.
            cell: Index of its cell.
            value: Higher is better.

        Returns:
            Whether it became the elite of an empty cell, replaced an elite, or did
            neither.
        """
        self._members.setdefault(cell, []).append((-value, row))
        held = self._elite.get(cell)
        if held is not None and (-value, row) >= held:
            return Status.NOT_ADDED
        self._elite[cell] = (-value, row)
        return Status.NEW if held is None else Status.IMPROVED

    def update(self, row: int, cell: int, value: float | None) -> None:
        """Change the value of a member, or remove it.

        Args:
            row: Row of the variant.
            cell: Index of its cell.
            value: The new value; None for a quarantined variant, which is removed.
        """
        kept = [member for member in self._members.get(cell, ()) if member[1] != row]
        if value is not None:
            kept.append((-value, row))
        self._members[cell] = kept
        if kept:
            self._elite[cell] = min(kept)
        else:
            self._elite.pop(cell, None)

    def stats(self) -> GridStats:
        """Return the statistics of the current elites.

        Returns:
            Zeros and None for an empty grid.
        """
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
    """Return the index of the bin that holds `value`.

    Args:
        measure: The axis, divided into equal bins.
        value: Any number; NaN counts as the lowest, values outside the range go to the
            border bins.

    Returns:
        From 0 to `measure.bins` - 1.
    """
    if math.isnan(value):
        return 0
    share = (value - measure.low) / (measure.high - measure.low)
    return int(min(max(share * measure.bins, 0.0), measure.bins - 1))
