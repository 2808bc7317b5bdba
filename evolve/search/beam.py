"""Beam search: the few best are expanded in turn (Lowerre 1976, the Harpy system)."""

from __future__ import annotations

import numpy as np

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, elite_rows

WIDTH = 8


class Beam(Policy):
    """The parent is the member of the beam with the fewest children; of these, the best."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Only the operator is drawn."""
        island = any_island(snapshot, rng)
        beam = elite_rows(snapshot, snapshot.islands[island].ranking, WIDTH)
        in_turn = iter(
            beam[np.argsort(snapshot.children[beam], kind="stable")].tolist()
        )
        return self.expand(snapshot, rng, len(beam), lambda: int(next(in_turn)), island)
