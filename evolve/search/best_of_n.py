"""Best of N: independent children of the seed, the baseline for every search."""

from numpy.random import Generator

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy


class BestOfN(Policy):
    """Always expands the seed, with an operator that takes one parent."""

    def decide(self, snapshot: Snapshot, rng: Generator) -> Expand:
        """Draw the operator; nothing else is random.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child of the seed.
        """
        return Expand(
            (snapshot.proposals[0].id,), self.operators.draw(snapshot, rng, 1)
        )
