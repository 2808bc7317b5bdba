"""Random parents: every scored variant is as likely as any other."""

from __future__ import annotations

import numpy as np

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy


class Random(Policy):
    """Uniform over the scored variants."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw an operator, then its parents without repetition."""
        rows = snapshot.trusted
        return self.expand(snapshot, rng, len(rows), lambda: int(rng.choice(rows)))
