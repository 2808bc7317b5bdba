"""Whether one variant is better than another, and which of some is the safest choice.

Pure functions of scores, case by case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from statistics import fmean
from typing import NamedTuple

from evolve.archive.case_scores import Interval, student, wilson
from evolve.archive.quantiles import beta_quantile

PROMOTE_AT = 20.0  # E of a champion that is promoted
QUANTILE = 0.1  # of the final choice
DROP = 0.05  # the chance of a drop in safety that is taken for none


class Paired(NamedTuple):
    """One variant against another, over the cases that both have."""

    wins: int
    losses: int
    ties: int

    @property
    def e_value(self) -> float:
        """The evidence that the first one is better."""
        return e_value(self.wins, self.losses)


def paired(
    one: Mapping[str, float], other: Mapping[str, float], maximize: bool = True
) -> Paired:
    """Scores by case; a case that only one has does not count."""
    sign = 1 if maximize else -1
    gains = [sign * (one[case] - other[case]) for case in one.keys() & other.keys()]
    wins, losses = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return Paired(wins, losses, len(gains) - wins - losses)


def e_value(wins: int, losses: int) -> float:
    """E = 2^(n+1) B(w+1, l+1) (1 - I_1/2(w+1, l+1)), of n = w + l cases that differ.

    The likelihood of a winning chance drawn evenly from above one half, over that of one half: a
    mixture martingale, so that it may be looked at after every case. Where the chance is one half or
    less, E ever reaches 20 with a chance of at most 1 in 20 (Ville 1939; Robbins 1970).
    """
    n = wins + losses
    # 1 - I_1/2(w+1, l+1) is the chance of at most w heads in n+1 throws.
    heads = sum(math.comb(n + 1, k) for k in range(wins + 1))
    beta = Fraction(
        math.factorial(wins) * math.factorial(losses), math.factorial(n + 1)
    )
    try:
        return float(beta * heads)
    except OverflowError:
        return math.inf


def drop_chance(wins: int, losses: int) -> float:
    """The chance of so many losses or more, were both equal: McNemar's test, exact, one-sided."""
    n = wins + losses
    return sum(math.comb(n, k) for k in range(losses, n + 1)) / 2.0**n


def lower_quantile(scores: Sequence[float], quantile: float = QUANTILE) -> float:
    """Of Beta(1 + sum, 1 + rest) for scores from 0 to 1: few cases are a reason for caution.

    Scores outside of that are taken by the lower end of their interval.
    """
    if all(0.0 <= score <= 1.0 for score in scores):
        good = sum(scores)
        return beta_quantile(quantile, 1.0 + good, 1.0 + len(scores) - good)
    return interval(scores).low


def interval(scores: Sequence[float]) -> Interval:
    """Where the mean is, at 95 %: Wilson's for scores of 0 and 1, Student's for others."""
    if scores and all(score in (0.0, 1.0) for score in scores):
        return wilson(sum(scores), len(scores))
    if len(scores) < 2:
        return Interval(-math.inf, math.inf)
    mean = fmean(scores)
    error = math.sqrt(
        sum((score - mean) ** 2 for score in scores) / (len(scores) - 1) / len(scores)
    )
    return student(mean, error, len(scores))
