"""Darwin Gödel Machine: open-ended exploration over every variant that works.

Zhang et al. 2025, arXiv 2505.22954: appendix A.2 for parents, appendix A.1 for staged
cases.
"""

import itertools
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from pydantic import Field

from evolve.archive import Floats, Ints, Snapshot
from evolve.search.policy import Evaluate, Expand, Policy, next_attempt
from evolve.search.sampling import pick, unit_values

STEEPNESS, MIDPOINT = 10.0, 0.5
STAGES = (10, 60, 200)  # total cases after each stage
GATE = 0.4  # accuracy that opens the next stage


def parent_probabilities(
    accuracy: Floats,
    children: Ints,
    steepness: float = STEEPNESS,
    midpoint: float = MIDPOINT,
) -> Floats:
    """Return p_i ~ 1 / (1 + exp(-lambda (a_i - alpha_0))) / (1 + children_i).

    Args:
        accuracy: a, shape (n,), from 0 to 1.
        children: Shape (n,).
        steepness: lambda, 10 in the paper.
        midpoint: alpha_0, .5 in the paper.

    Returns:
        Shape (n,), with sum 1.
    """
    weight = 1.0 / (1.0 + np.exp(-steepness * (accuracy - midpoint))) / (1.0 + children)
    return np.asarray(weight / weight.sum())


class Dgm(Policy):
    """Any scored variant can be a parent; promising ones are scored on more cases."""

    class Params(Policy.Params):
        """Parameters of `dgm`."""

        steepness: float = Field(
            STEEPNESS, ge=0, description="lambda: how much the accuracy counts"
        )
        midpoint: float = Field(
            MIDPOINT, description="alpha_0: accuracy with half of the full weight"
        )
        gate: float = Field(
            GATE, ge=0, le=1, description="accuracy that opens the next stage of cases"
        )

    params: Params

    def decide(self, snapshot: Snapshot, rng: Generator) -> Expand | Evaluate:
        """Return the next evaluation of an open stage, or else a child.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision.

        Returns:
            An evaluation, or a child that starts with the cases of the first stage.
        """
        return next_of_stage(snapshot, self.params.gate) or self._child(snapshot, rng)

    def _child(self, snapshot: Snapshot, rng: Generator) -> Expand:
        rows = snapshot.trusted
        weights = parent_probabilities(
            unit_values(snapshot)[rows],
            snapshot.children[rows],
            self.params.steepness,
            self.params.midpoint,
        )
        made = self.expand(
            snapshot, rng, len(rows), lambda: int(rows[pick(weights, rng)])
        )
        return replace(made, cases=STAGES[0])


def next_of_stage(snapshot: Snapshot, gate: float = GATE) -> Evaluate | None:
    """Return the next case of the earliest variant with an open stage that is not full.

    Args:
        snapshot: Holds at least the seed.
        gate: Accuracy that opens the next stage.

    Returns:
        The evaluation; None if no stage is open, or if all cases fit into the first
        stage.
    """
    scores = snapshot.case_scores
    if len(scores.cases) <= STAGES[0]:
        return None
    known = (scores.counts > 0).sum(axis=1)
    goal = stage_goals(known, unit_values(snapshot), gate)
    goal = np.minimum(goal, len(scores.cases))
    begun = (scores.begun > 0).sum(axis=1)
    open_rows = np.intersect1d(np.flatnonzero(begun < goal), snapshot.trusted)
    if not len(open_rows):
        return None
    row = int(open_rows[0])
    return next_attempt(snapshot, row, int(np.argmin(scores.begun[row] > 0)))


def stage_goals(known: Ints, accuracy: Floats, gate: float = GATE) -> Ints:
    """Return how many cases each variant is due: a full, passed stage opens the next.

    Args:
        known: Number of scored cases, shape (n,).
        accuracy: Shape (n,), from 0 to 1.
        gate: Accuracy that opens the next stage.

    Returns:
        Shape (n,), each one of `STAGES`.
    """
    goal = np.full(len(known), STAGES[0])
    for full, following in itertools.pairwise(STAGES):
        goal = np.where((known >= full) & (accuracy >= gate), following, goal)
    return goal
