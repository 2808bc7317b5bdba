"""Best of N: independent children of the seed. The control that every search has to beat."""

from __future__ import annotations

import numpy as np

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy


class BestOfN(Policy):
    """Always the seed, with an operator of one parent."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Only the operator is drawn."""
        return Expand(
            (snapshot.proposals[0].id,), self.operators.draw(snapshot, rng, 1)
        )
