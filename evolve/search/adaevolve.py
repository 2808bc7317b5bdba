"""AdaEvolve: how much to explore, and where, follows from how fast each island improves.

Cemri et al. 2026, arXiv 2602.20133.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evolve.archive import Advance, Island, Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import elite_rows, pick

DECAY = 0.9
LEAST, MOST = 0.15, 0.5  # the share of exploration
UCB = math.sqrt(2.0)
ELITE = 16
_TINY = 1e-12


def accumulated(advances: Sequence[Advance], members: int) -> float:
    """G after all members: G <- .9 G + .1 d^2, d = (new best - old best) / |old best|, else 0."""
    return sum(
        (1 - DECAY) * _relative(a, a.before) ** 2 * DECAY ** (members - 1 - a.place)
        for a in advances
    )


def exploration(gain: float) -> float:
    """I = .15 + .35 / (1 + sqrt G): an island that stands still explores."""
    return LEAST + (MOST - LEAST) / (1.0 + math.sqrt(gain))


def island_scores(islands: Sequence[Island], best: float) -> NDArray[np.float64]:
    """Shape (islands,): UCB of the decayed reward, gains in units of the best there is.

    R / V + sqrt(2 ln N / n), with R <- .9 R + gain and V <- .9 V + 1 for each of its n members.
    """
    counts = np.array([len(island) for island in islands], dtype=np.float64)
    rewards = np.array(
        [
            sum(
                _relative(a, best) * DECAY ** (len(island) - 1 - a.place)
                for a in island.advances
            )
            for island in islands
        ]
    )
    visits = (1.0 - DECAY**counts) / (1.0 - DECAY)
    spread = np.sqrt(np.log(max(counts.sum(), 1.0)) / np.maximum(counts, 1.0))
    return np.asarray(rewards / np.maximum(visits, 1.0) + UCB * spread)


def _relative(advance: Advance, scale: float) -> float:
    return (advance.after - advance.before) / max(abs(scale), _TINY)


class AdaEvolve(Policy):
    """An island by its reward; in it any member to explore, else one of its best by rank."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw whether to explore, operator, then parents without repetition."""
        scores = island_scores(
            snapshot.islands, float(np.max(snapshot.values[snapshot.trusted]))
        )
        number = int(np.argmax(scores))
        island = snapshot.islands[number]
        share = exploration(accumulated(island.advances, len(island)))
        if rng.random() < share:
            rows = np.intersect1d(island.rows, snapshot.trusted)
            weights = np.ones(len(rows))
        else:
            rows = elite_rows(snapshot, island.ranking, ELITE)
            weights = 1.0 / np.arange(1, len(rows) + 1)
        return self.expand(
            snapshot, rng, len(rows), lambda: int(rows[pick(weights, rng)]), number
        )
