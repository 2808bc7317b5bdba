"""Values between 0 and 1, for formulas that speak of shares of cases solved."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archive import Snapshot

LOW_SHARE = 0.05  # below the value of so many, all count as nothing: one outlier sets no scale


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
