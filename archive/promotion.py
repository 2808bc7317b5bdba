"""Comparison of two variants and the safest choice among several.

Pure functions of scores, case by case.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from statistics import fmean
from typing import NamedTuple

from evolve.archive.case_scores import Interval, student, wilson
from evolve.archive.quantiles import beta_quantile

PROMOTE_AT = 20.0  # e-value from which a champion is promoted
QUANTILE = 0.1  # lower quantile of the final choice
DROP = 0.05  # p-value up to which a drop in safety is taken as real


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
    """Compare two variants case by case.

    Args:
        one: Case -> score of the first variant.
        other: Case -> score of the second variant.
        maximize: Whether a higher score is better.

    Returns:
        Wins, losses and ties of the first one; a case that only one of them has is
        ignored.
    """
    sign = 1 if maximize else -1
    gains = [sign * (one[case] - other[case]) for case in one.keys() & other.keys()]
    wins, losses = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return Paired(wins, losses, len(gains) - wins - losses)


def e_value(wins: int, losses: int) -> float:
    """Return E = 2^(n+1) B(w+1, l+1) (1 - I_1/2(w+1, l+1)), with n = w + l.

    It is the likelihood of a winning probability drawn uniformly from (1/2, 1), divided
    by that of one half: a mixture martingale, so that it may be inspected after every
    case. Where the probability is one half or less, E ever reaches 20 with a
    probability of at most 1 in 20 (Ville 1939; Robbins 1970).

    Args:
        wins: Cases w that the first variant wins.
        losses: Cases l that it loses; ties do not count.

    Returns:
        The e-value, positive; infinity when it exceeds a float.
    """
    n = wins + losses
    # 1 - I_1/2(w+1, l+1) is the probability of at most w heads in n+1 tosses.
    heads = sum(math.comb(n + 1, k) for k in range(wins + 1))
    beta = Fraction(
        math.factorial(wins) * math.factorial(losses), math.factorial(n + 1)
    )
    try:
        return float(beta * heads)
    except OverflowError:
        return math.inf


def drop_chance(wins: int, losses: int) -> float:
    """Return the p-value of a drop: McNemar's test, exact and one-sided.

    Args:
        wins: Cases that the new variant wins.
        losses: Cases that it loses.

    Returns:
        The probability of `losses` or more, if both variants were equal.
    """
    n = wins + losses
    return sum(math.comb(n, k) for k in range(losses, n + 1)) / 2.0**n


def lower_quantile(scores: Sequence[float]) -> float:
    """Return a cautious estimate of the mean, lower for few cases.

    Args:
        scores: One score per case.

    Returns:
        For scores in [0, 1] the quantile of Beta(1 + sum, 1 + n - sum); otherwise the
        lower end of the 95 % interval.
    """
    if all(0.0 <= score <= 1.0 for score in scores):
        good = sum(scores)
        return beta_quantile(QUANTILE, 1.0 + good, 1.0 + len(scores) - good)
    return interval(scores).low


def interval(scores: Sequence[float]) -> Interval:
    """Return the 95 % confidence interval of the mean.

    Args:
        scores: One score per case.

    Returns:
        Wilson's interval when all scores are 0 or 1; otherwise Student's, or (-inf,
        inf) for fewer than two scores.
    """
    if scores and all(score in (0.0, 1.0) for score in scores):
        return wilson(sum(scores), len(scores))
    if len(scores) < 2:
        return Interval(-math.inf, math.inf)
    mean = fmean(scores)
    error = math.sqrt(
        sum((score - mean) ** 2 for score in scores) / (len(scores) - 1) / len(scores)
    )
    return student(mean, error, len(scores))
