"""ShinkaEvolve's other sampling: parents by rank (Lange et al., arXiv 2509.19349, section 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, pick

ALPHA = 1.0


def rank_weights(count: int) -> NDArray[np.float64]:
    """Shape (count,): p_i ~ rank_i ** -alpha, rank 1 the best."""
    return np.arange(1, count + 1, dtype=np.float64) ** -ALPHA


class PowerLaw(Policy):
    """alpha = 0 would be uniform, a large one hill climbing."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw operator, then ranks without repetition."""
        island = any_island(snapshot, rng)
        ranking = snapshot.islands[island].ranking
        weights = rank_weights(max(len(ranking), 1))
        draw = (
            (lambda: ranking.at(pick(weights, rng)).row)
            if len(ranking)
            else (lambda: 0)
        )
        return self.expand(snapshot, rng, len(weights), draw, island)
