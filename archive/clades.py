"""Clades: what a variant and all its descendants achieved, along first parents.

Wang et al. 2025, "Huxley-Gödel Machine", arXiv 2510.21614: the clade's metaproductivity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archive.columns import Growing

ORPHAN = -1  # the parent of a founder


class Clades:
    """Sums over subtrees, kept up to date on the way from each row to its founder."""

    def __init__(self) -> None:
        self._parent: Growing[np.int64] = Growing(np.int64)
        self._above: list[int] = []  # the same as a list: walks read it one by one
        self._size: Growing[np.int64] = Growing(np.int64)
        self._sum: Growing[np.float64] = Growing(np.float64)
        self._count: Growing[np.int64] = Growing(np.int64)

    @property
    def parents(self) -> NDArray[np.int64]:
        """Shape (n,): the row of the first parent, -1 for a founder."""
        return self._parent.rows

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Shape (n,): variants in the clade, itself included."""
        return self._size.rows

    @property
    def sums(self) -> NDArray[np.float64]:
        """Shape (n,): the sum of all values observed in the clade; of 0/1 cases, its successes."""
        return self._sum.rows

    @property
    def counts(self) -> NDArray[np.int64]:
        """Shape (n,): evaluations in the clade."""
        return self._count.rows

    def append(self, parent: int) -> None:
        """A new row below another one."""
        self._parent.append(parent)
        self._above.append(parent)
        for column in (self._size, self._sum, self._count):
            column.append(0)
        self._size.rows[self.lineage(len(self._parent) - 1)] += 1

    def observe(self, row: int, value: float) -> None:
        """One evaluation of a row: it counts for all its ancestors."""
        path = self.lineage(row)
        self._sum.rows[path] += value
        self._count.rows[path] += 1

    def lineage(self, row: int) -> list[int]:
        """From a row to its founder, both included."""
        path = [row]
        while (row := self._above[row]) != ORPHAN:
            path.append(row)
        return path
