"""What was observed of each variant, case by case, and how sure its mean is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolve.archive.columns import GrowableArray
from evolve.archive.quantiles import student_quantile

Z = 1.959964  # two-sided 95 %
NEAREST = 10


class Interval(NamedTuple):
    """Where the mean is, at 95 %."""

    low: float
    high: float


class Trial(NamedTuple):
    """One attempt at one case; no value where it failed."""

    case: str
    attempt: int
    value: float | None


class _Tally(NamedTuple):
    """Of each case: the sum of the values, of their squares, their count, and the next attempt."""

    sums: list[float]
    squares: list[float]
    counts: list[int]
    numbers: list[int]


class Known(NamedTuple):
    """What a new row's trials say: their mean (NaN for none), and whether every case was tried."""

    mean: float
    complete: bool


class CaseScores:
    """Sums of scores and counts of attempts by row and case, kept up to date row by row.

    Scores are values: higher is better.
    """

    def __init__(self, cases: tuple[str, ...]) -> None:
        self.cases = {case: column for column, case in enumerate(cases)}
        width = len(cases)
        self._sum: GrowableArray[np.float64] = GrowableArray(np.float64, width)
        self._square: GrowableArray[np.float64] = GrowableArray(np.float64, width)
        self._count: GrowableArray[np.int64] = GrowableArray(np.int64, width)
        self._pending: GrowableArray[np.int64] = GrowableArray(np.int64, width)
        self._next: GrowableArray[np.int64] = GrowableArray(np.int64, width)

    @property
    def sums(self) -> NDArray[np.float64]:
        """Shape (n, cases): the sum over attempts."""
        return self._sum.rows

    @property
    def counts(self) -> NDArray[np.int64]:
        """Shape (n, cases): how many attempts were scored."""
        return self._count.rows

    @property
    def pending(self) -> NDArray[np.int64]:
        """Shape (n, cases): how many are decided and not yet scored."""
        return self._pending.rows

    @property
    def means(self) -> NDArray[np.float64]:
        """Shape (n, cases): the mean over attempts, NaN where there is none."""
        return np.where(self.counts > 0, self.sums / np.maximum(self.counts, 1), np.nan)

    def append(self, seen: Sequence[Trial]) -> Known:
        """A new row with what was observed of it; returns what that says."""
        tally = self._tally(seen)
        for grown, values in (
            (self._sum, tally.sums),
            (self._square, tally.squares),
            (self._count, tally.counts),
            (self._pending, [0] * len(self.cases)),
            (self._next, tally.numbers),
        ):
            grown.append(values)
        return Known(_mean(tally.sums, tally.counts), all(tally.counts))

    def mean_of(self, seen: Iterable[Trial]) -> float:
        """What `mean` says of a row that has these trials and no others, to the last digit."""
        tally = self._tally(seen)
        return _mean(tally.sums, tally.counts)

    def _tally(self, seen: Iterable[Trial]) -> _Tally:
        width = len(self.cases)
        sums, squares, counts, numbers = (
            [0.0] * width,
            [0.0] * width,
            [0] * width,
            [0] * width,
        )
        for case, attempt, value in seen:
            column = self.cases[case]
            numbers[column] = max(numbers[column], attempt + 1)
            if value is not None:
                sums[column] += value
                squares[column] += value * value
                counts[column] += 1
        return _Tally(sums, squares, counts, numbers)

    def next_attempt(self, row: int, case: str) -> int:
        """A number that no attempt at this case has, decided ones included."""
        return int(self._next.rows[row, self.cases[case]])

    def expect(self, row: int, case: str, attempt: int) -> None:
        """An attempt was decided."""
        self.pending[row, self.cases[case]] += 1
        self.number(row, case, attempt)

    def number(self, row: int, case: str, attempt: int) -> None:
        """This attempt has a row, or will have one."""
        column = self.cases[case]
        self._next.rows[row, column] = max(self._next.rows[row, column], attempt + 1)

    def end(self, row: int, case: str) -> None:
        """An attempt that was decided has ended."""
        column = self.cases[case]
        self.pending[row, column] = max(self.pending[row, column] - 1, 0)

    def observe(self, row: int, case: str, value: float) -> None:
        """One attempt at one case was scored."""
        column = self.cases[case]
        self.sums[row, column] += value
        self._square.rows[row, column] += value * value
        self.counts[row, column] += 1

    def mean(self, row: int) -> float:
        """Over the cases that were tried, of the mean of each; NaN when none was."""
        return _mean(self.sums[row].tolist(), self.counts[row].tolist())

    def behaviour(self, seen: Sequence[Trial]) -> float:
        """How new the scores by case are: the mean distance to the ten nearest; 1 when there is none.

        Euclidean over the cases that both have tried, each in units of its own spread. Lehman and
        Stanley 2011, eq. 1, with the scores as the behaviour.
        """
        means = self.means
        own = np.full(len(self.cases), np.nan)
        for trial in seen:
            if trial.value is not None:
                own[self.cases[trial.case]] = trial.value
        both = ~np.isnan(means) & ~np.isnan(own)
        rows = np.flatnonzero(both.any(axis=1))
        if not len(rows):
            return 1.0
        spread = np.ptp(np.vstack([np.where(both, means, own)[rows], own]), axis=0)
        apart = np.where(both, (means - own) / np.where(spread > 0, spread, 1.0), 0.0)[
            rows
        ]
        distances = np.sqrt((apart**2).sum(axis=1) / both[rows].sum(axis=1))
        return round(float(np.sort(distances)[:NEAREST].mean()), 6)

    def complete(self, row: int) -> bool:
        """Whether every case was tried."""
        return bool((self.counts[row] > 0).all())

    def interval(self, row: int) -> Interval:
        """Wilson's for scores of 0 and 1, Student's for others; the whole line for a single one.

        Cases that were tried stand for those that were not.
        """
        count = int(self.counts[row].sum())
        total, squares = (
            float(self.sums[row].sum()),
            float(self._square.rows[row].sum()),
        )
        if count and squares == abs(total) and total >= 0 and float(total).is_integer():
            return wilson(total, count)
        if count < 2:
            return Interval(-math.inf, math.inf)
        return student(self.mean(row), self._error(row, count, total, squares), count)

    def _error(self, row: int, count: int, total: float, squares: float) -> float:
        """The standard error of the mean.

        With every case tried, what differs between cases is no uncertainty: what differs between
        the attempts at one case is.
        """
        counts = self.counts[row]
        if (counts > 1).all():
            spread = self._square.rows[row] - self.sums[row] ** 2 / counts
            inside = np.maximum(spread, 0.0) / (counts - 1) / counts
            return float(np.sqrt(inside.sum()) / len(counts))
        return math.sqrt(
            max(squares - total * total / count, 0.0) / (count - 1) / count
        )


def _mean(sums: Sequence[float], counts: Sequence[int]) -> float:
    means = [total / count for total, count in zip(sums, counts, strict=True) if count]
    return fmean(means) if means else math.nan


def wilson(successes: float, count: int) -> Interval:
    """Wilson 1927: the score interval of a proportion."""
    share, spread = successes / count, Z * Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = (
        Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    )
    return Interval(middle - half, middle + half)


def student(mean: float, error: float, count: int) -> Interval:
    """Student 1908: the interval of a mean of reals."""
    half = student_quantile(0.975, count - 1) * error
    return Interval(mean - half, mean + half)
