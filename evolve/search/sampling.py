"""Weighted draws of rows, the elite of a ranking, and values scaled to 0..1."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from evolve.archive import Floats, Ints, Ranking, Snapshot


def pick(weights: Floats, rng: Generator) -> int:
    """Draw an index in proportion to its weight.

    Args:
        weights: Shape (n,), not negative; if all are zero, every index is equally
            likely.
        rng: The generator of this decision.

    Returns:
        From 0 to n - 1.
    """
    sums = np.cumsum(weights)
    if not sums[-1] > 0:
        return int(rng.integers(len(weights)))
    return min(
        int(np.searchsorted(sums, rng.random() * sums[-1], side="right")), len(sums) - 1
    )


def choose(shares: Floats, rng: Generator) -> int:
    """Draw what `rng.choice(len(shares), p=shares)` draws, without its slow checks.

    Args:
        shares: Shape (n,), at least one of them positive.
        rng: The generator of this decision.

    Returns:
        From 0 to n - 1.
    """
    sums = np.cumsum(shares)
    return int((sums / sums[-1]).searchsorted(rng.random(), side="right"))


def elite_rows(snapshot: Snapshot, ranking: Ranking, size: int) -> Ints:
    """Return one row per distinct score, best first.

    Of equal scores the row with the fewest children is taken, the newest on ties;
    otherwise changes without an effect would fill the elite with copies.

    Args:
        snapshot: Gives the numbers of children.
        ranking: Ranking of the rows to choose from.
        size: Maximum number of rows.

    Returns:
        Shape (m,) with m <= size; [0], the seed, for an empty ranking.
    """
    children = snapshot.children
    chosen = [
        min(rows, key=lambda row: (children[row], -row))
        for rows in ranking.levels(size)
    ]
    return np.array(chosen or [0], dtype=np.int64)


def any_island(snapshot: Snapshot, rng: Generator) -> int:
    """Draw an island uniformly; a single island uses no random number.

    Args:
        snapshot: Holds the islands.
        rng: The generator of this decision.

    Returns:
        Number of the island.
    """
    count = len(snapshot.islands)
    return int(rng.integers(count)) if count > 1 else 0


# values below this quantile are scaled to 0, so that one outlier does not set the scale
LOW_SHARE = 0.05


class Range(NamedTuple):
    """The values that are scaled to 0 and to 1."""

    low: float
    high: float


def value_range(snapshot: Snapshot) -> Range:
    """Return the range of values for scaling.

    Args:
        snapshot: Holds at least the seed.

    Returns:
        0 and 1 if all trusted values are within; otherwise the 5 % quantile and the
        highest value.
    """
    values = snapshot.values[snapshot.trusted]
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 1.0:
        return Range(0.0, 1.0)
    low = float(np.quantile(values, LOW_SHARE))
    return Range(low, high) if high > low else Range(high - 1.0, high + 1.0)


def unit_values(snapshot: Snapshot) -> Floats:
    """Return the values scaled to 0..1 and clipped.

    Args:
        snapshot: Holds at least the seed.

    Returns:
        Shape (n,).
    """
    low, high = value_range(snapshot)
    return np.asarray(np.clip((snapshot.values - low) / (high - low), 0.0, 1.0))
