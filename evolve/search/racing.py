"""Racing: on a noisy task, who would become the best is evaluated again until it is decided.

Maron and Moore 1997, "The racing algorithm". A task with `repeats` = 1 has no noise.
"""

from __future__ import annotations

import math

import numpy as np

from evolve.archive import Snapshot
from evolve.plugins import plugin_errors
from evolve.search.policy import Action, Evaluate, Policy

CONTENDERS = 4  # of the highest means


class Racing(Policy):
    """Another policy, and before it the evaluations that decide who is best."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy.operators, policy.mates)
        self.policy = policy

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Action:
        """A repeat that is due, else what the policy says."""
        due = repeat_due(snapshot)
        if due is not None:
            return due
        with plugin_errors("policy", self.policy):
            return self.policy.decide(snapshot, rng)


def repeat_due(snapshot: Snapshot) -> Evaluate | None:
    """One more attempt for a contender that may be better than the best, or is it and unsure.

    A contender's upper end must reach the best's lower end; no case has more than `repeats` attempts.
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
    """At the case with the fewest attempts, pending ones included; None when all have enough."""
    attempts = snapshot.case_scores.counts[row] + snapshot.case_scores.pending[row]
    column = int(np.argmin(attempts))
    if attempts[column] >= snapshot.frame.repeats:
        return None
    case = list(snapshot.case_scores.cases)[column]
    return Evaluate(
        snapshot.proposals[row].id, case, snapshot.case_scores.next_attempt(row, case)
    )
