"""Weighted draws of rows, the elite that several policies draw from, and values scaled to 0..1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolve.archive import Ranking, Snapshot


def pick(weights: NDArray[np.float64], rng: np.random.Generator) -> int:
    """An index, as likely as its weight; any where all weights are zero."""
    sums = np.cumsum(weights)
    if not sums[-1] > 0:
        return int(rng.integers(len(weights)))
    return min(
        int(np.searchsorted(sums, rng.random() * sums[-1], side="right")), len(sums) - 1
    )


def choose(shares: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Draw what `rng.choice(len(shares), p=shares)` draws, without its checks, which cost more.

    Args:
        shares: shape (n,), at least one of them positive.
    """
    sums = np.cumsum(shares)
    return int((sums / sums[-1]).searchsorted(rng.random(), side="right"))


def elite_rows(snapshot: Snapshot, ranking: Ranking, size: int) -> NDArray[np.int64]:
    """The best rows, one for each score: the one with the fewest children, the newest of these.

    Changes that change nothing would fill the elite with copies otherwise.
    """
    children = snapshot.children
    chosen = [
        min(rows, key=lambda row: (children[row], -row))
        for rows in ranking.levels(size)
    ]
    return np.array(chosen or [0], dtype=np.int64)


def any_island(snapshot: Snapshot, rng: np.random.Generator) -> int:
    """Every island as likely as any other; nothing is drawn where there is one."""
    count = len(snapshot.islands)
    return int(rng.integers(count)) if count > 1 else 0


# below the value of so many, all count as nothing: one outlier sets no scale
LOW_SHARE = 0.05


class Range(NamedTuple):
    """What counts as nothing and as all."""

    low: float
    high: float


def value_range(snapshot: Snapshot) -> Range:
    """0 and 1 where all values lie there; else from the worst twentieth to the best."""
    values = snapshot.values[snapshot.trusted]
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 1.0:
        return Range(0.0, 1.0)
    low = float(np.quantile(values, LOW_SHARE))
    return Range(low, high) if high > low else Range(high - 1.0, high + 1.0)


def unit_values(snapshot: Snapshot) -> NDArray[np.float64]:
    """Shape (n,): values within the range, as a share of it."""
    low, high = value_range(snapshot)
    return np.asarray(np.clip((snapshot.values - low) / (high - low), 0.0, 1.0))
