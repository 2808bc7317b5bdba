"""ShinkaEvolve's sampling of parents by rank (Lange et al., arXiv 2509.19349, 3.1)."""

import numpy as np
from pydantic import Field

from evolve.archive import Floats, Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, pick

ALPHA = 1.0


def rank_weights(count: int, alpha: float = ALPHA) -> Floats:
    """Return weights p_i ~ rank_i ** -alpha, where rank 1 is the best.

    Args:
        count: Number of ranks.
        alpha: 0 is uniform; the larger, the more the best are preferred.

    Returns:
        Shape (count,), best first, not normalised.
    """
    return np.arange(1, count + 1, dtype=np.float64) ** -alpha


class PowerLaw(Policy):
    """Draws parents by rank; alpha = 0 is uniform, a large alpha is hill climbing."""

    class Params(Policy.Params):
        """Parameters of `power_law`."""

        alpha: float = Field(
            ALPHA, ge=0, description="exponent: 0 is uniform, a large one greedy"
        )

    params: Params

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw the operator, then ranks without repetition.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child on a random island.
        """
        island = any_island(snapshot, rng)
        ranking = snapshot.islands[island].ranking
        weights = rank_weights(max(len(ranking), 1), self.params.alpha)
        draw = (
            (lambda: ranking.at(pick(weights, rng)).row)
            if len(ranking)
            else (lambda: 0)
        )
        return self.expand(snapshot, rng, len(weights), draw, island)
