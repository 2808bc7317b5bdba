"""Random parents: every scored variant is as likely as any other."""

from __future__ import annotations

import numpy as np

from archive import Snapshot
from evolve.search.policy import Expand, Policy


class Random(Policy):
    """Uniform over the scored variants."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw an operator, then its parents without repetition."""
        operator = self.operators.draw(snapshot, rng, len(snapshot.trusted))
        rows = rng.choice(snapshot.trusted, size=self.operators.parents[operator], replace=False)
        return Expand(tuple(snapshot.proposals[int(row)].id for row in rows), operator)
