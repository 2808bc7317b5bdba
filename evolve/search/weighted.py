"""ShinkaEvolve's weighted parents: good scores and few children (Lange et al., arXiv 2509.19349)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, elite_rows, pick

SELECTION_PRESSURE = 10.0
ARCHIVE_SIZE = 16  # parents come from so many of the best
INSPIRATIONS = 2


def parent_probabilities(
    values: NDArray[np.float64], children: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shape (n,): p_i ~ sigmoid(10 (s_i - median) / MAD) / (1 + children_i), section 3.1.

    Where more than half of the scores are equal the median absolute deviation is zero; then the
    mean absolute deviation scales, and equal scores give equal sigmoids.
    """
    deviation = values - np.median(values)
    scale = (
        float(np.median(np.abs(deviation))) or float(np.mean(np.abs(deviation))) or 1.0
    )
    exponent = np.clip(SELECTION_PRESSURE * deviation / scale, -500.0, 500.0)
    weight = 1.0 / (1.0 + np.exp(-exponent)) / (1.0 + children)
    weight = np.maximum(weight, 1e-12)  # every variant stays possible
    return np.asarray(weight / weight.sum())


class Weighted(Policy):
    """Parents by score and offspring; inspirations from the best."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw operator, then parents without repetition."""
        island = any_island(snapshot, rng)
        elite = elite_rows(snapshot, snapshot.islands[island].ranking, ARCHIVE_SIZE)
        weights = parent_probabilities(snapshot.values[elite], snapshot.children[elite])
        made = self.expand(
            snapshot, rng, len(elite), lambda: int(elite[pick(weights, rng)]), island
        )
        best = [
            p.id
            for p in snapshot.top(INSPIRATIONS + len(made.parents))
            if p.id not in made.parents
        ]
        return replace(made, inspirations=tuple(best[:INSPIRATIONS]))
