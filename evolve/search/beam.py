"""Beam search: expand the best variants in turn (Lowerre 1976, the Harpy system)."""

import numpy as np
from pydantic import Field

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, elite_rows


class Beam(Policy):
    """Expands the member of the beam with the fewest children; the best one on ties."""

    class Params(Policy.Params):
        """Parameters of `beam`."""

        width: int = Field(8, ge=1, description="variants in the beam")

    params: Params

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw the operator, and the island if there are several, and nothing else.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child of the member in turn.
        """
        island = any_island(snapshot, rng)
        beam = elite_rows(snapshot, snapshot.islands[island].ranking, self.params.width)
        in_turn = iter(
            beam[np.argsort(snapshot.children[beam], kind="stable")].tolist()
        )
        return self.expand(snapshot, rng, len(beam), lambda: int(next(in_turn)), island)
