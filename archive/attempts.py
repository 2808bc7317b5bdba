"""The score of a case from its attempts: their mean, median or minimum.

One burst of other load on a machine moves a mean of times as far as it likes, and a
median hardly at all.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, Literal, cast

Aggregate = Literal["mean", "median", "min"]
Aggregator = Callable[[Sequence[float]], float]
AGGREGATE_KEY = "aggregate"  # in the table `meta`; absent: the mean
MEDIAN_SQL = "median_of"  # the name of the function that SQLite lacks
_CONSISTENT = 1.4826  # for a normal distribution: Rousseeuw and Croux 1993, section 1
_FUNCTIONS: Mapping[str, Aggregator] = {
    "mean": fmean,
    "median": median,
    "min": min,
}
SQL_NAMES: Mapping[str, str] = {"mean": "avg", "median": MEDIAN_SQL, "min": "min"}


def of_attempts(aggregate: str, scores: Sequence[float]) -> float:
    """Return the score of a case.

    Args:
        aggregate: "mean", "median" or "min".
        scores: One per attempt, at least one.

    Returns:
        The score.
    """
    return float(_FUNCTIONS[aggregate](scores))


def of_values(aggregate: Aggregate, maximize: bool) -> Aggregator | None:
    """Return the function for values, which are scores with higher ones better.

    Args:
        aggregate: "mean", "median" or "min".
        maximize: Whether a higher score is better; if not, values are negative scores.

    Returns:
        The function; None for the mean, which sums tell.
    """
    if aggregate == "mean":
        return None
    if aggregate == "min" and not maximize:
        return max
    return _FUNCTIONS[aggregate]


def spread_around(middle: float, scores: Sequence[float]) -> float:
    """Return the spread of attempts, which a few outliers hardly move.

    Args:
        middle: The score of the case.
        scores: One per attempt, at least one.

    Returns:
        The median absolute deviation, scaled to the standard deviation of a normal
        distribution.
    """
    return _CONSISTENT * median(abs(score - middle) for score in scores)


class _Median:
    """An aggregate function for SQLite; None of no scores."""

    def __init__(self) -> None:
        self._scores: list[float] = []

    def step(self, score: float | None) -> None:
        """Add a row; NULL does not count, as in `avg`."""
        if score is not None:
            self._scores.append(score)

    def finalize(self) -> float | None:
        """Return the median."""
        return median(self._scores) if self._scores else None


def add_median(connection: sqlite3.Connection) -> None:
    """Define `MEDIAN_SQL` on a connection.

    Args:
        connection: To a run's database.
    """
    connection.create_aggregate(MEDIAN_SQL, 1, cast(Any, _Median))
