"""Hill climbing: always expand the best variant."""

from numpy.random import Generator
from pydantic import Field

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy
from evolve.search.sampling import any_island, elite_rows


class Greedy(Policy):
    """Expands the best variant, on ties the one with the fewest children.

    Second parents are the next best.
    """

    class Params(Policy.Params):
        """Parameters of `greedy`."""

        mates: int = Field(
            4, ge=2, description="best variants that second parents come from"
        )

    params: Params

    def decide(self, snapshot: Snapshot, rng: Generator) -> Expand:
        """Draw the operator, and the island if there are several, and nothing else.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child of the best variant.
        """
        island = any_island(snapshot, rng)
        elite = elite_rows(
            snapshot, snapshot.islands[island].ranking, self.params.mates
        )
        best_first = iter(elite.tolist())
        return self.expand(
            snapshot, rng, len(elite), lambda: int(next(best_first)), island
        )
