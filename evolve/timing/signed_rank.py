"""The signed-rank test of Wilcoxon, with its estimate and interval.

Wilcoxon 1945, "Individual comparisons by ranking methods"; Hodges and Lehmann 1963,
"Estimates of location based on rank tests".
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def p_greater(differences: Sequence[float]) -> float:
    """Return the exact probability of such large differences if their median is 0.

    Ties of absolute values share ranks; the distribution is then that of untied ranks,
    which is close.

    Args:
        differences: One per block, shape (n,); zeros count against.

    Returns:
        One-sided p-value in (0, 1]; 1 for no differences.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return 1.0
    ranks = _mean_ranks(np.abs(values))
    # halves are rounded down, which is the side of caution
    statistic = int(ranks[values > 0].sum())
    counts = _sums_of_ranks(len(values))
    return float(sum(counts[statistic:]) / 2 ** len(values))


def _mean_ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


@cache
def _sums_of_ranks(n: int) -> tuple[int, ...]:
    """Return how many of the 2**n subsets of the ranks 1 to n have each sum."""
    counts = [1]
    for rank in range(1, n + 1):
        longer = counts + [0] * rank
        for total, count in enumerate(counts):
            longer[total + rank] += count
        counts = longer
    return tuple(counts)


def _walsh_averages(values: Floats) -> Floats:
    """Return the means of all pairs, each value with itself included, sorted."""
    first, second = np.triu_indices(len(values))
    return np.sort((values[first] + values[second]) / 2)


def estimate(differences: Sequence[float]) -> float:
    """Return the median of all pairwise means.

    Args:
        differences: One per block, at least one.

    Returns:
        The estimate of Hodges and Lehmann.
    """
    values = np.asarray(differences, dtype=np.float64)
    return float(np.median(_walsh_averages(values)))


def interval(differences: Sequence[float], alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of differences that the two-sided test does not reject.

    Args:
        differences: One per block, at least one.
        alpha: Probability that the interval misses the median.

    Returns:
        Its ends; the range of the data if there are too few for `alpha`.
    """
    averages = _walsh_averages(np.asarray(differences, dtype=np.float64))
    n = len(differences)
    tail, cut = 0, 0
    for count in _sums_of_ranks(n):
        tail += count
        if tail / 2**n > alpha / 2:
            break
        cut += 1
    cut = max(cut - 1, 0)
    return float(averages[cut]), float(averages[-1 - cut])
