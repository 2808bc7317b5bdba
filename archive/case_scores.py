"""Scores per case of each variant, and the confidence interval of their mean."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from evolve.archive.columns import Floats, GrowableArray, Ints
from evolve.archive.quantiles import student_quantile

Z = 1.959964  # two-sided 95 %
NEAREST = 10


class Interval(NamedTuple):
    """The 95 % confidence interval of a mean."""

    low: float
    high: float


class Trial(NamedTuple):
    """One attempt at one case; `value` is None if the attempt failed."""

    case: str
    attempt: int
    value: float | None


class _Tally(NamedTuple):
    """Per case: sum of values, sum of squares, count, and the next attempt number.

    Attributes:
        graded: Number of values of all cases that are neither 0 nor 1.
    """

    sums: list[float]
    squares: list[float]
    counts: list[int]
    numbers: list[int]
    graded: int


class Known(NamedTuple):
    """Summary of a new row's trials.

    Attributes:
        mean: Mean of the case means; NaN without a scored trial.
        complete: Whether every case has a scored trial.
    """

    mean: float
    complete: bool


class CaseScores:
    """Sums of scores and counts of attempts by row and case, updated incrementally.

    Scores are values: higher is better. A row is the index of a variant in the
    snapshot.

    Args:
        cases: Names of the cases, one column each.
    """

    def __init__(self, cases: tuple[str, ...]) -> None:
        self.cases = {case: column for column, case in enumerate(cases)}
        width = len(cases)
        self._sum = GrowableArray(np.float64, width)
        self._square = GrowableArray(np.float64, width)
        self._count = GrowableArray(np.int64, width)
        self._pending = GrowableArray(np.int64, width)
        self._next = GrowableArray(np.int64, width)
        # by row: values that are neither 0 nor 1
        self._graded = GrowableArray(np.int64)

    @property
    def sums(self) -> Floats:
        """Sum of the values over attempts, shape (n, cases)."""
        return self._sum.rows

    @property
    def counts(self) -> Ints:
        """Number of scored attempts, shape (n, cases)."""
        return self._count.rows

    @property
    def pending(self) -> Ints:
        """Number of attempts decided and not yet finished, shape (n, cases)."""
        return self._pending.rows

    @property
    def begun(self) -> Ints:
        """Number of attempts scored or pending, shape (n, cases)."""
        return self.counts + self.pending

    @property
    def means(self) -> Floats:
        """Mean over attempts, shape (n, cases); NaN without a scored attempt."""
        return np.where(self.counts > 0, self.sums / np.maximum(self.counts, 1), np.nan)

    def append(self, seen: Sequence[Trial]) -> Known:
        """Append a row with the trials of a new variant.

        Args:
            seen: Trials at any of `cases`.

        Returns:
            The mean of the new row, and whether every case has a score.

        Raises:
            KeyError: A trial has an unknown case.
        """
        tally = self._tally(seen)
        for grown, values in (
            (self._sum, tally.sums),
            (self._square, tally.squares),
            (self._count, tally.counts),
            (self._pending, [0] * len(self.cases)),
            (self._next, tally.numbers),
            (self._graded, tally.graded),
        ):
            grown.append(values)
        return Known(_mean(tally.sums, tally.counts), all(tally.counts))

    def mean_of(self, seen: Iterable[Trial]) -> float:
        """Return the mean that a row with exactly these trials has, bit for bit.

        Args:
            seen: Trials at any of `cases`.

        Returns:
            The mean of the case means; NaN without a scored trial.
        """
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
        graded = 0
        for case, attempt, value in seen:
            column = self.cases[case]
            numbers[column] = max(numbers[column], attempt + 1)
            if value is not None:
                sums[column] += value
                squares[column] += value * value
                counts[column] += 1
                graded += value not in (0, 1)
        return _Tally(sums, squares, counts, numbers, graded)

    def next_attempt(self, row: int, case: str) -> int:
        """Return the next free attempt number of a case, counting decided attempts.

        Args:
            row: Row of the variant.
            case: Name of the case.

        Returns:
            One more than the highest attempt number in use; 0 for none.
        """
        return int(self._next.rows[row, self.cases[case]])

    def expect(self, row: int, case: str, attempt: int) -> None:
        """Record that an attempt was decided; it is pending until `end`.

        Args:
            row: Row of the variant.
            case: Name of the case.
            attempt: Number of the attempt, from 0.
        """
        self.pending[row, self.cases[case]] += 1
        self.number(row, case, attempt)

    def number(self, row: int, case: str, attempt: int) -> None:
        """Mark an attempt number as used: it has an evaluation or will get one.

        Args:
            row: Row of the variant.
            case: Name of the case.
            attempt: Number of the attempt; -1 marks none.
        """
        column = self.cases[case]
        self._next.rows[row, column] = max(self._next.rows[row, column], attempt + 1)

    def end(self, row: int, case: str) -> None:
        """Record that a decided attempt has finished, whatever its result.

        Args:
            row: Row of the variant.
            case: Name of the case.
        """
        column = self.cases[case]
        self.pending[row, column] = max(self.pending[row, column] - 1, 0)

    def observe(self, row: int, case: str, value: float) -> None:
        """Add the value of one scored attempt.

        Args:
            row: Row of the variant.
            case: Name of the case.
            value: Higher is better.
        """
        column = self.cases[case]
        self.sums[row, column] += value
        self._square.rows[row, column] += value * value
        self.counts[row, column] += 1
        if value not in (0, 1):
            self._graded.increment(row)

    def mean(self, row: int) -> float:
        """Return the mean of the case means.

        Args:
            row: Row of the variant.

        Returns:
            The mean over the cases with a scored attempt; NaN without one.
        """
        return _mean(self.sums[row].tolist(), self.counts[row].tolist())

    def behaviour(self, seen: Sequence[Trial]) -> float:
        """Return the novelty of scores by case: mean distance to the ten nearest rows.

        The distance is Euclidean over the cases that both rows have, with each case
        divided by its spread. Lehman and Stanley 2011, eq. 1, with the scores as the
        behaviour.

        Args:
            seen: Trials of a variant that is not yet a row; of several at one case the
                last one counts.

        Returns:
            The mean distance, rounded to six digits; 1 when no row has a case in
            common.
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
        """Return whether every case has a scored attempt.

        Args:
            row: Row of the variant.
        """
        return bool((self.counts[row] > 0).all())

    def interval(self, row: int) -> Interval:
        """Return the 95 % confidence interval of a row's mean.

        The cases with a score are taken as a sample of all cases.

        Args:
            row: Row of the variant.

        Returns:
            Wilson's interval when all scores are 0 or 1; otherwise Student's, or (-inf,
            inf) for fewer than two attempts.
        """
        count = int(self.counts[row].sum())
        total, squares = (
            float(self.sums[row].sum()),
            float(self._square.rows[row].sum()),
        )
        if count and not self._graded.rows[row]:
            return wilson(total, count)
        if count < 2:
            return Interval(-math.inf, math.inf)
        return student(self.mean(row), self._error(row, count, total, squares), count)

    def _error(self, row: int, count: int, total: float, squares: float) -> float:
        """Return the standard error of the mean.

        When every case has at least two attempts, differences between cases add no
        uncertainty: only those between the attempts at one case count.
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
    return mean_of_cases(
        [total / count for total, count in zip(sums, counts, strict=True) if count]
    )


def mean_of_cases(scores: Sequence[float]) -> float:
    """Return the score of a variant.

    Args:
        scores: One per case with a score.

    Returns:
        Their mean; NaN for none.
    """
    return fmean(scores) if scores else math.nan


def wilson(successes: float, count: int) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927).

    Args:
        successes: From 0 to `count`.
        count: Number of trials, at least 1.

    Returns:
        The 95 % interval.
    """
    share, spread = successes / count, Z * Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = (
        Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    )
    return Interval(middle - half, middle + half)


def student(mean: float, error: float, count: int) -> Interval:
    """Return Student's interval of a mean of real numbers (Student 1908).

    Args:
        mean: The mean.
        error: Its standard error.
        count: Number of values, at least 2; the degrees of freedom are one less.

    Returns:
        The 95 % interval.
    """
    half = student_quantile(0.975, count - 1) * error
    return Interval(mean - half, mean + half)
