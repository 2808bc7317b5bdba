"""Clades: what a variant and all its descendants achieved, along first parents.

Wang et al. 2025, "Huxley-Gödel Machine", arXiv 2510.21614: the clade's metaproductivity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evolve.archive.columns import GrowableArray

MANY = 256  # new observations, from which on one pass is cheaper
ORPHAN = -1  # the parent of a founder


class Clades:
    """Sums over subtrees. What is new waits until somebody asks.

    A little is then added on the way from each row to its founder; much, as when a run is opened, in
    one pass from the last row to the first.
    """

    def __init__(self) -> None:
        self._above: list[int] = []
        # row, variants, value, evaluations
        self._new: list[tuple[int, int, float, int]] = []
        self._parent: GrowableArray[np.int64] = GrowableArray(np.int64)
        self._sums: GrowableArray[np.float64] = GrowableArray(np.float64, 3)

    @property
    def parents(self) -> NDArray[np.int64]:
        """Shape (n,): the row of the first parent, -1 for a founder."""
        return self._parent.rows

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Shape (n,): variants in the clade, itself included."""
        return self._settled()[:, 0].astype(np.int64)

    @property
    def sums(self) -> NDArray[np.float64]:
        """Shape (n,): the sum of all values observed in the clade; of 0/1 cases, its successes."""
        return self._settled()[:, 1]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Shape (n,): evaluations in the clade."""
        return self._settled()[:, 2].astype(np.int64)

    def append(self, parent: int) -> None:
        """A new row below another one."""
        self._parent.append(parent)
        self._sums.append((0.0, 0.0, 0.0))
        self._above.append(parent)
        self._new.append((len(self._above) - 1, 1, 0.0, 0))

    def observe(self, row: int, value: float) -> None:
        """One evaluation of a row: it counts for all its ancestors."""
        self._new.append((row, 0, value, 1))

    def lineage(self, row: int) -> list[int]:
        """From a row to its founder, both included."""
        path = [row]
        while (row := self._above[row]) != ORPHAN:
            path.append(row)
        return path

    def _settled(self) -> NDArray[np.float64]:
        """Shape (n, 3), with everything in it."""
        sums = self._sums.rows
        if len(self._new) >= MANY:
            sums += self._from_the_last()
        else:
            for row, *more in self._new:
                sums[self.lineage(row)] += more
        self._new.clear()
        return sums

    def _from_the_last(self) -> list[list[float]]:
        """What is new of each clade. A child's row comes after its parent's, so one pass is enough."""
        own = np.zeros((len(self._above), 3))
        new = np.array(self._new)
        np.add.at(own, new[:, 0].astype(np.int64), new[:, 1:])
        sums: list[list[float]] = own.tolist()
        for row in range(len(sums) - 1, 0, -1):
            above = self._above[row]
            if above != ORPHAN:
                mine, theirs = sums[row], sums[above]
                theirs[0] += mine[0]
                theirs[1] += mine[1]
                theirs[2] += mine[2]
        return sums
