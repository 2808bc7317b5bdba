"""Rows in the order of their values, kept up to date one by one."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from typing import NamedTuple

MANY = 64  # new rows, from which on sorting is cheaper
GROUP = 64  # so many of the newest rows of equal value are looked at


class Ranked(NamedTuple):
    """A row and its value."""

    row: int
    value: float


class Ranking:
    """Best first, of equals the earlier first.

    New rows wait until somebody asks. A few are then put in their places, which costs a search and a
    shift of pointers; many, as when a run is opened, are sorted at once.
    """

    def __init__(self) -> None:
        self._order: list[tuple[float, int]] = []  # (-value, row)
        self._new: list[tuple[float, int]] = []
        self._negated: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._negated)

    def add(self, row: int, value: float) -> None:
        """A row that is not there yet."""
        negated = -value
        self._new.append((negated, row))
        self._negated[row] = negated

    def update(self, row: int, value: float | None) -> None:
        """Another value; None takes it out."""
        self._settle()
        old = self._negated.pop(row, None)
        if old is not None:
            del self._order[bisect_left(self._order, (old, row))]
        if value is not None:
            self.add(row, value)

    def top(self, count: int) -> list[Ranked]:
        """The best rows."""
        self._settle()
        return [Ranked(row, -negated) for negated, row in self._order[:count]]

    def top_rows(self, count: int) -> list[int]:
        """The best rows without their values."""
        self._settle()
        return [row for _, row in self._order[:count]]

    def at(self, place: int) -> Ranked:
        """The row at a place, 0 the best. Raises `IndexError`."""
        self._settle()
        negated, row = self._order[place]
        return Ranked(row, -negated)

    def levels(self, count: int) -> list[list[int]]:
        """For each of the best distinct values the newest rows that have it, oldest first."""
        self._settle()
        order, start = self._order, 0
        found: list[list[int]] = []
        while start < len(order) and len(found) < count:
            end = bisect_right(order, (order[start][0], math.inf), start)
            found.append([row for _, row in order[max(start, end - GROUP) : end]])
            start = end
        return found

    def key(self) -> tuple[float, int]:
        """Sorts rankings by their best; empty ones last."""
        self._settle()
        return self._order[0] if self._order else (float("inf"), 0)

    def _settle(self) -> None:
        if self._new:
            _merge(self._order, self._new)


def _merge(ordered: list[tuple[float, int]], new: list[tuple[float, int]]) -> None:
    """Put new items in their places, and empty the list that they came in."""
    if len(new) < MANY:
        for item in new:
            insort(ordered, item)
    else:
        ordered += new
        ordered.sort()
    new.clear()
