"""OpenEvolve's MAP-Elites: a grid per island, a global archive, a ring of islands.

Sharma 2025, OpenEvolve, after Mouret and Clune 2015 (arXiv 1504.04909) and AlphaEvolve
(Novikov et al. 2025, arXiv 2506.13131). With probability .2 a parent is any elite of
the island; with .7 an elite that is in the archive of the best; otherwise an elite in
proportion to its value. With fewer than three elites, mates and inspirations come from
the ranking of the island.
"""

from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from evolve.archive import Floats, Ints, Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, elite_rows, pick

EXPLORE, EXPLOIT = 0.2, 0.7
LEAST = 1e-4  # weight of a value that is not positive
ELITE = 16  # scores of the ranking that give a row
FEW = 3  # elites below which the ranking gives mates and inspirations


def parent_probabilities(
    values: Floats,
    archived: NDArray[np.bool_],
    explore: float = EXPLORE,
    exploit: float = EXPLOIT,
) -> Floats:
    """Return the probabilities of the elites of an island.

    p_i = .2 / n + .7 [i in archive] / |archive| + .1 max(s_i, 1e-4) / sum, with
    |archive| the number of the elites that are in it. If there is none, the .7 are
    spread evenly.

    Args:
        values: s, shape (n,).
        archived: Whether each elite is in the archive of the best, shape (n,).
        explore: Share of uniform draws, .2 above.
        exploit: Share of draws from the archive, .7 above.

    Returns:
        Shape (n,), with sum 1.
    """
    count = len(values)
    fitness = np.maximum(values, LEAST)
    inside = (
        archived / archived.sum() if archived.any() else np.full(count, 1.0 / count)
    )
    return np.asarray(
        explore / count
        + exploit * inside
        + (1.0 - explore - exploit) * fitness / fitness.sum()
    )


class MapElites(Policy):
    """Draws parents and inspirations from the elites of one island."""

    class Params(Policy.Params):
        """Parameters of `map_elites`."""

        explore: float = Field(
            EXPLORE, ge=0, le=1, description="share of parents that are any elite"
        )
        exploit: float = Field(
            EXPLOIT, ge=0, le=1, description="share of parents from the archive"
        )
        archive_size: int = Field(
            100, ge=1, description="best variants of all islands that are the archive"
        )
        inspirations: int = Field(
            2, ge=0, description="elites shown beside the parents"
        )

        @model_validator(mode="after")
        def _shares_fit(self) -> Self:
            if self.explore + self.exploit > 1:
                raise ValueError("explore and exploit must not exceed 1 together")
            return self

    params: Params

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        """Draw island, operator, parents, and inspirations from other cells.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child with its inspirations.
        """
        number = any_island(snapshot, rng)
        elites = np.array(
            [*snapshot.islands[number].grid.elites.values()] or [0], dtype=np.int64
        )
        best = set(snapshot.ranking.top_rows(self.params.archive_size))
        archived = np.fromiter(
            (row in best for row in elites.tolist()), np.bool_, len(elites)
        )
        weights = parent_probabilities(
            snapshot.values[elites], archived, self.params.explore, self.params.exploit
        )
        company = self._company(snapshot, elites, number)
        made = self.expand(
            snapshot,
            rng,
            len(company),
            lambda: int(elites[pick(weights, rng)]),
            number,
            (lambda: int(rng.choice(company))) if len(elites) < FEW else None,
        )
        others = np.sort(company)
        for parent in made.parents:
            others = others[others != snapshot.row_of(parent)]
        shown = rng.choice(
            others, min(self.params.inspirations, len(others)), replace=False
        )
        return replace(made, inspirations=snapshot.ids(shown))

    def _company(self, snapshot: Snapshot, elites: Ints, island: int) -> Ints:
        """Return the rows that give mates and inspirations.

        A grid whose axes do not tell the variants apart has one or two elites, and no
        operator with two parents could be drawn.

        Returns:
            The elites; of fewer than `FEW`, also one row per score of the island, and
            the newest rows if all scores are equal.
        """
        if len(elites) >= FEW:
            return elites
        ranking = snapshot.islands[island].ranking
        found = np.union1d(elites, elite_rows(snapshot, ranking, ELITE))
        if len(found) > 1:
            return found
        return np.union1d(found, np.sort(ranking.top_rows(len(ranking)))[-ELITE:])
