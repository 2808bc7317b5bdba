"""Hill climbing: always the best variant there is."""

from __future__ import annotations

import numpy as np

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, elite_rows

MATES = 4


class Greedy(Policy):
    """p(best) = 1. Of equals the one with the fewest children; second parents are the next best."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Only the operator is drawn."""
        island = any_island(snapshot, rng)
        elite = elite_rows(snapshot, snapshot.islands[island].ranking, MATES)
        best_first = iter(elite.tolist())
        return self.expand(
            snapshot, rng, len(elite), lambda: int(next(best_first)), island
        )
