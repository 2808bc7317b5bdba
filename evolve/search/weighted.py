"""ShinkaEvolve's weighted parents: high score, few children (arXiv 2509.19349).

Lange et al. 2025, section 3.1.
"""

from dataclasses import replace

import numpy as np
from pydantic import Field

from evolve.archive import Floats, Ints, Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, elite_rows, pick

SELECTION_PRESSURE = 10.0


def parent_probabilities(
    values: Floats, children: Ints, pressure: float = SELECTION_PRESSURE
) -> Floats:
    """Return p_i ~ sigmoid(lambda (s_i - median) / MAD) / (1 + children_i), section 3.1.

    If more than half of the scores are equal, the median absolute deviation is zero;
    the scale is then the mean absolute deviation, and equal scores give equal sigmoids.

    Args:
        values: s, shape (n,).
        children: Shape (n,).
        pressure: lambda, 10 in the paper.

    Returns:
        Shape (n,), positive, with sum 1.
    """
    deviation = values - np.median(values)
    scale = (
        float(np.median(np.abs(deviation))) or float(np.mean(np.abs(deviation))) or 1.0
    )
    exponent = np.clip(pressure * deviation / scale, -500.0, 500.0)
    weight = 1.0 / (1.0 + np.exp(-exponent)) / (1.0 + children)
    weight = np.maximum(weight, 1e-12)  # every variant stays possible
    return np.asarray(weight / weight.sum())


class Weighted(Policy):
    """Draws parents by score and number of children; inspirations are the best."""

    class Params(Policy.Params):
        """Parameters of `weighted`."""

        pressure: float = Field(
            SELECTION_PRESSURE, ge=0, description="lambda: how much the score counts"
        )
        archive_size: int = Field(
            16, ge=1, description="best variants that parents come from"
        )
        inspirations: int = Field(
            2, ge=0, description="best variants shown beside the parents"
        )

    params: Params

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw the operator, then parents without repetition.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child with its inspirations.
        """
        island = any_island(snapshot, rng)
        params, ranking = self.params, snapshot.islands[island].ranking
        elite = elite_rows(snapshot, ranking, params.archive_size)
        weights = parent_probabilities(
            snapshot.values[elite], snapshot.children[elite], params.pressure
        )
        made = self.expand(
            snapshot, rng, len(elite), lambda: int(elite[pick(weights, rng)]), island
        )
        best = [
            p.id
            for p in snapshot.top(params.inspirations + len(made.parents))
            if p.id not in made.parents
        ]
        return replace(made, inspirations=tuple(best[: params.inspirations]))
