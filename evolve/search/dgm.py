"""Darwin Gödel Machine: open-ended exploration over every variant that works.

Zhang et al. 2025, arXiv 2505.22954: appendix A.2 for parents, staged cases in appendix A.1.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evolve.archive import Snapshot
from evolve.search.policy import Evaluate, Expand, Policy
from evolve.search.sampling import pick, unit_values

STEEPNESS, MIDPOINT = 10.0, 0.5
STAGES = (10, 60, 200)  # cases
GATE = 0.4  # the share of cases that opens the next stage


def parent_probabilities(
    accuracy: NDArray[np.float64], children: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shape (n,): p_i ~ 1 / (1 + exp(-10 (a_i - .5))) / (1 + children_i)."""
    weight = 1.0 / (1.0 + np.exp(-STEEPNESS * (accuracy - MIDPOINT))) / (1.0 + children)
    return np.asarray(weight / weight.sum())


class Dgm(Policy):
    """All that work stay possible as parents; the promising ones are scored on more cases."""

    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand | Evaluate:
        """First the stages that are open, then a child."""
        return next_of_stage(snapshot) or self._child(snapshot, rng)

    def _child(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand:
        rows = snapshot.trusted
        weights = parent_probabilities(
            unit_values(snapshot)[rows], snapshot.children[rows]
        )
        made = self.expand(
            snapshot, rng, len(rows), lambda: int(rows[pick(weights, rng)])
        )
        return replace(made, cases=STAGES[0])


def next_of_stage(snapshot: Snapshot) -> Evaluate | None:
    """The next case of the earliest variant whose stage is open and not full."""
    cases = list(snapshot.case_scores.cases)
    if len(cases) <= STAGES[0]:
        return None
    known = snapshot.case_scores.counts > 0
    begun = (known | (snapshot.case_scores.pending > 0)).sum(axis=1)
    goal = np.minimum(stage_goals(known.sum(axis=1), unit_values(snapshot)), len(cases))
    open_rows = np.intersect1d(np.flatnonzero(begun < goal), snapshot.trusted)
    if not len(open_rows):
        return None
    row = int(open_rows[0])
    free = np.flatnonzero(
        (snapshot.case_scores.counts[row] == 0)
        & (snapshot.case_scores.pending[row] == 0)
    )
    case = cases[int(free[0])]
    return Evaluate(
        snapshot.proposals[row].id, case, snapshot.case_scores.next_attempt(row, case)
    )


def stage_goals(
    known: NDArray[np.int64], accuracy: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Shape (n,): so many cases are due: a stage that is full, and passed, opens the next."""
    goal = np.full(len(known), STAGES[0])
    for full, following in itertools.pairwise(STAGES):
        goal = np.where((known >= full) & (accuracy >= GATE), following, goal)
    return goal
