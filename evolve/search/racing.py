"""Racing: on a noisy task, evaluate contenders again until the best is known.

Maron and Moore 1997, "The racing algorithm". A task with `repeats` = 1 has no noise.
"""

import math

import numpy as np

from evolve.archive import Snapshot
from evolve.plugins import plugin_errors
from evolve.search.policy import Action, Evaluate, Policy, next_attempt

CONTENDERS = 4  # number of variants with the highest means


class Racing(Policy):
    """Wraps a policy and first evaluates again whatever decides which variant is best.

    Args:
        policy: The policy for all other decisions.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy.operators, policy.mates)
        self.policy = policy

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Action:
        """Return a repeat that is due, or else the policy's decision.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            The decision.

        Raises:
            RunError: A third-party policy failed; see `plugin_errors`.
        """
        due = repeat_due(snapshot)
        if due is not None:
            return due
        with plugin_errors("policy", self.policy):
            return self.policy.decide(snapshot, rng)


def repeat_due(snapshot: Snapshot) -> Evaluate | None:
    """Return another attempt for a contender that may be better than the best.

    The upper end of the contender's interval must reach the lower end of the best's.
    The best is a contender itself. No case gets more than `repeats` attempts.

    Args:
        snapshot: The scored variants.

    Returns:
        The evaluation; None if none is due.
    """
    best = snapshot.best()
    if snapshot.frame.repeats == 1 or best is None:
        return None
    floor = snapshot.case_scores.interval(snapshot.row_of(best.id)).low
    for ranked in snapshot.ranking.top(CONTENDERS):
        if snapshot.case_scores.interval(ranked.row).high >= floor or math.isinf(floor):
            found = _next_attempt(snapshot, ranked.row)
            if found is not None:
                return found
    return None


def _next_attempt(snapshot: Snapshot, row: int) -> Evaluate | None:
    """Return an attempt at the case with the fewest, pending ones included.

    None if all cases have enough.
    """
    attempts = snapshot.case_scores.begun[row]
    column = int(np.argmin(attempts))
    if attempts[column] >= snapshot.frame.repeats:
        return None
    return next_attempt(snapshot, row, column)
