"""Rows in the order of their values, kept up to date one by one."""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import islice
from typing import NamedTuple, TypeVar

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
        self._levels: list[float] = []  # distinct values, negated, best first
        self._new: list[tuple[float, int]] = []
        self._new_levels: list[float] = []
        self._value: dict[int, float] = {}
        self._equal: dict[float, list[int]] = {}  # -value -> rows, the oldest first

    def __len__(self) -> int:
        return len(self._value)

    def add(self, row: int, value: float) -> None:
        """A row that is not there yet."""
        self._new.append((-value, row))
        self._value[row] = value
        if -value not in self._equal:
            self._new_levels.append(-value)
            self._equal[-value] = []
        insort(self._equal[-value], row)

    def update(self, row: int, value: float | None) -> None:
        """Another value; None takes it out."""
        self._settle()
        old = self._value.pop(row, None)
        if old is not None:
            del self._order[bisect_left(self._order, (-old, row))]
            self._equal[-old].remove(row)
            if not self._equal[-old]:
                del self._equal[-old]
                del self._levels[bisect_left(self._levels, -old)]
        if value is not None:
            self.add(row, value)

    def top(self, count: int) -> list[Ranked]:
        """The best rows."""
        self._settle()
        return [Ranked(row, -negated) for negated, row in self._order[:count]]

    def at(self, place: int) -> Ranked:
        """The row at a place, 0 the best. Raises `IndexError`."""
        self._settle()
        negated, row = self._order[place]
        return Ranked(row, -negated)

    def levels(self, count: int) -> list[list[int]]:
        """For each of the best distinct values the newest rows that have it, oldest first."""
        self._settle()
        return [self._equal[level][-GROUP:] for level in islice(self._levels, count)]

    def key(self) -> tuple[float, int]:
        """Sorts rankings by their best; empty ones last."""
        self._settle()
        return self._order[0] if self._order else (float("inf"), 0)

    def _settle(self) -> None:
        if self._new:
            _merge(self._order, self._new)
            _merge(self._levels, self._new_levels)


_T = TypeVar("_T", float, tuple[float, int])


def _merge(ordered: list[_T], new: list[_T]) -> None:
    """Put new items in their places, and empty the list that they came in."""
    if len(new) < MANY:
        for item in new:
            insort(ordered, item)
    else:
        ordered += new
        ordered.sort()
    new.clear()
