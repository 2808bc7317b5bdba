"""Clades: sums over a variant and all its descendants, along first parents.

Wang et al. 2025, "Huxley-Gödel Machine", arXiv 2510.21614: the clade's
metaproductivity.
"""

import numpy as np

from evolve.archive.columns import Floats, GrowableArray, Ints

MANY = 256  # new observations from which one pass over all rows is cheaper
ORPHAN = -1  # the parent of a founder


class Clades:
    """Sums over subtrees, with updates deferred until a sum is read.

    A few updates are then added along the path from each row to its founder; many, as
    when a run is opened, in one pass from the last row to the first.
    """

    def __init__(self) -> None:
        self._above: list[int] = []
        # row, variants, value, evaluations
        self._new: list[tuple[int, int, float, int]] = []
        self._parent = GrowableArray(np.int64)
        self._sums = GrowableArray(np.float64, 3)

    @property
    def parents(self) -> Ints:
        """Row of the first parent, shape (n,); -1 for a founder."""
        return self._parent.rows

    @property
    def sizes(self) -> Ints:
        """Number of variants in the clade, itself included, shape (n,)."""
        return self._settled()[:, 0].astype(np.int64)

    @property
    def sums(self) -> Floats:
        """Sum of all values in the clade, shape (n,); for 0/1 cases the successes."""
        return self._settled()[:, 1]

    @property
    def counts(self) -> Ints:
        """Number of evaluations in the clade, shape (n,)."""
        return self._settled()[:, 2].astype(np.int64)

    def append(self, parent: int) -> None:
        """Append a row.

        Args:
            parent: Row of its first parent; `ORPHAN` for a founder.
        """
        self._parent.append(parent)
        self._sums.append((0.0, 0.0, 0.0))
        self._above.append(parent)
        self._new.append((len(self._above) - 1, 1, 0.0, 0))

    def observe(self, row: int, value: float) -> None:
        """Record one evaluation of a row; it counts for all its ancestors as well.

        Args:
            row: Row of the variant.
            value: Higher is better.
        """
        self._new.append((row, 0, value, 1))

    def lineage(self, row: int) -> list[int]:
        """Return the path from a row to its founder.

        Args:
            row: Row of the variant.

        Returns:
            Rows, the given one first, the founder last.
        """
        path = [row]
        while (row := self._above[row]) != ORPHAN:
            path.append(row)
        return path

    def _settled(self) -> Floats:
        """Apply all pending updates and return the sums, shape (n, 3)."""
        sums = self._sums.rows
        if len(self._new) >= MANY:
            sums += self._from_the_last()
        else:
            for row, *more in self._new:
                sums[self.lineage(row)] += more
        self._new.clear()
        return sums

    def _from_the_last(self) -> list[list[float]]:
        """Return the pending updates summed by clade, shape (n, 3).

        A child's row comes after its parent's, so one pass from the last row is enough.
        """
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
