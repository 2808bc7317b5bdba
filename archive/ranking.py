"""Rows sorted by value, updated one by one."""

import math
from bisect import bisect_left, bisect_right, insort
from typing import NamedTuple

MANY = 64  # new rows from which sorting is cheaper than inserting
GROUP = 64  # maximum number of rows of equal value that `levels` returns


class Ranked(NamedTuple):
    """A row and its value."""

    row: int
    value: float


class Ranking:
    """Rows sorted best first; on ties the lower row number first.

    New rows wait until the order is read. A few are then inserted, each by a binary
    search and a shift of pointers; many, as when a run is opened, are sorted at once.
    """

    def __init__(self) -> None:
        self._order: list[tuple[float, int]] = []  # (-value, row)
        self._new: list[tuple[float, int]] = []
        self._negated: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._negated)

    def add(self, row: int, value: float) -> None:
        """Add a new row.

        Args:
            row: A row that is not in the ranking.
            value: Higher is better.
        """
        negated = -value
        self._new.append((negated, row))
        self._negated[row] = negated

    def update(self, row: int, value: float | None) -> None:
        """Change the value of a row, remove it, or add it.

        Args:
            row: The row.
            value: The new value; None removes the row.
        """
        self._settle()
        old = self._negated.pop(row, None)
        if old is not None:
            del self._order[bisect_left(self._order, (old, row))]
        if value is not None:
            self.add(row, value)

    def top(self, count: int) -> list[Ranked]:
        """Return the best rows with their values.

        Args:
            count: Maximum number of rows.

        Returns:
            Best first.
        """
        self._settle()
        return [Ranked(row, -negated) for negated, row in self._order[:count]]

    def top_rows(self, count: int) -> list[int]:
        """Return the best rows without their values.

        Args:
            count: Maximum number of rows.

        Returns:
            Best first.
        """
        self._settle()
        return [row for _, row in self._order[:count]]

    def at(self, place: int) -> Ranked:
        """Return the row at a rank.

        Args:
            place: The rank; 0 is the best.

        Returns:
            The row and its value.

        Raises:
            IndexError: The ranking has no such rank.
        """
        self._settle()
        negated, row = self._order[place]
        return Ranked(row, -negated)

    def levels(self, count: int) -> list[list[int]]:
        """Return rows grouped by value.

        Args:
            count: Maximum number of distinct values.

        Returns:
            For each of the best values the newest `GROUP` rows that have it, oldest
            first.
        """
        self._settle()
        order, start = self._order, 0
        found: list[list[int]] = []
        while start < len(order) and len(found) < count:
            end = bisect_right(order, (order[start][0], math.inf), start)
            found.append([row for _, row in order[max(start, end - GROUP) : end]])
            start = end
        return found

    def key(self) -> tuple[float, int]:
        """Return a sort key that orders rankings by their best row, empty ones last.

        Returns:
            The negated value of the best row, and the row; (inf, 0) for an empty
            ranking.
        """
        self._settle()
        return self._order[0] if self._order else (float("inf"), 0)

    def _settle(self) -> None:
        if self._new:
            ordered = self._order
            if len(self._new) < MANY:
                for item in self._new:
                    insort(ordered, item)
            else:
                ordered += self._new
                ordered.sort()
            self._new.clear()
