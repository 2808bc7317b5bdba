"""Random parents: every scored variant is equally likely."""

from numpy.random import Generator

from evolve.archive import Snapshot
from evolve.search.policy import Expand, Policy


class Random(Policy):
    """Draws parents uniformly from the scored variants."""

    def decide(self, snapshot: Snapshot, rng: Generator) -> Expand:
        """Draw an operator, then its parents without repetition.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            A child.
        """
        rows = snapshot.trusted
        return self.expand(snapshot, rng, len(rows), lambda: int(rng.choice(rows)))
