"""AdaEvolve: how much and where to explore follows from the progress of each island.

Cemri et al. 2026, arXiv 2602.20133.
"""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from evolve.archive import Advance, Floats, Island, Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import elite_rows, pick

DECAY = 0.9
LEAST, MOST = 0.15, 0.5  # bounds of the probability to explore
UCB = math.sqrt(2.0)
_TINY = 1e-12


def accumulated(
    advances: Sequence[Advance], members: int, decay: float = DECAY
) -> float:
    """Return G after all members: G <- .9 G + .1 d^2 for each member.

    d = (new best - old best) / |old best| for a member that is the new best, else 0.

    Args:
        advances: Improvements of the island's best, oldest first.
        members: Number of members of the island.
        decay: .9 above.

    Returns:
        G, at least 0.
    """
    return sum(
        (1 - decay) * _relative(a, a.before) ** 2 * decay ** (members - 1 - a.place)
        for a in advances
    )


def exploration(gain: float, least: float = LEAST, most: float = MOST) -> float:
    """Return the probability to explore, I = .15 + .35 / (1 + sqrt G).

    Args:
        gain: G of the island; an island without progress explores most.
        least: Lower bound, .15 above.
        most: Upper bound.

    Returns:
        From `least` to `most`.
    """
    return least + (most - least) / (1.0 + math.sqrt(gain))


def island_scores(
    islands: Sequence[Island], best: float, decay: float = DECAY
) -> Floats:
    """Return the UCB score of each island, with gains in units of the overall best.

    R / V + sqrt(2 ln N / n), with R <- .9 R + gain and V <- .9 V + 1 for each of its n
    members, and N the number of members of all islands.

    Args:
        islands: All islands.
        best: The best value of the run.
        decay: .9 above.

    Returns:
        Shape (islands,).
    """
    counts = np.array([len(island) for island in islands], dtype=np.float64)
    rewards = np.array(
        [
            sum(
                _relative(a, best) * decay ** (len(island) - 1 - a.place)
                for a in island.advances
            )
            for island in islands
        ]
    )
    visits = (1.0 - decay**counts) / (1.0 - decay)
    spread = np.sqrt(np.log(max(counts.sum(), 1.0)) / np.maximum(counts, 1.0))
    return np.asarray(rewards / np.maximum(visits, 1.0) + UCB * spread)


def _relative(advance: Advance, scale: float) -> float:
    return (advance.after - advance.before) / max(abs(scale), _TINY)


class AdaEvolve(Policy):
    """Draws from one island: any member to explore, otherwise an elite by rank."""

    class Params(Policy.Params):
        """Parameters of `adaevolve`."""

        decay: float = Field(
            DECAY, gt=0, lt=1, description="of earlier progress, per member"
        )
        least: float = Field(
            LEAST, ge=0, le=1, description="least probability to explore"
        )
        most: float = Field(MOST, ge=0, le=1, description="greatest one")
        elite: int = Field(
            16, ge=1, description="best variants of an island that are not exploration"
        )

    params: Params

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw whether to explore, the operator, then parents without repetition.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child on the island with the highest score.
        """
        params = self.params
        scores = island_scores(
            snapshot.islands,
            float(np.max(snapshot.values[snapshot.trusted])),
            params.decay,
        )
        number = int(np.argmax(scores))
        island = snapshot.islands[number]
        gain = accumulated(island.advances, len(island), params.decay)
        share = exploration(gain, params.least, params.most)
        if rng.random() < share:
            rows = np.intersect1d(island.rows, snapshot.trusted)
            weights = np.ones(len(rows))
        else:
            rows = elite_rows(snapshot, island.ranking, params.elite)
            weights = 1.0 / np.arange(1, len(rows) + 1)
        return self.expand(
            snapshot, rng, len(rows), lambda: int(rows[pick(weights, rng)]), number
        )
