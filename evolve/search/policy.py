"""The contract of a policy, its decisions, and the lookup of policies by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator

from evolve import plugins
from evolve.archive import Kind, Proposal, Snapshot
from evolve.plugins import Chosen, find_class
from evolve.search.mix import OperatorMix

POLICIES = {
    "weighted": "evolve.search.weighted:Weighted",
    "best_of_n": "evolve.search.best_of_n:BestOfN",
    "random": "evolve.search.random:Random",
    "greedy": "evolve.search.greedy:Greedy",
    "beam": "evolve.search.beam:Beam",
    "power_law": "evolve.search.power_law:PowerLaw",
    "map_elites": "evolve.search.map_elites:MapElites",
    "adaevolve": "evolve.search.adaevolve:AdaEvolve",
    "dgm": "evolve.search.dgm:Dgm",
    "hgm": "evolve.search.hgm:Hgm",
}
_REDRAWS = 50  # draws of a second parent before any other trusted variant is taken


@dataclass(frozen=True)
class Expand:
    """Make a child of these parents (ids) with this operator.

    Attributes:
        parents: Ids, the first parent first.
        operator: Name of the operator.
        inspirations: Ids of variants that the prompt shows besides the parents.
        island: Island that the child belongs to.
        model: Model to call; None: one of the run's models, chosen by the proposal's
            id.
        cases: How many search cases score it at first; None: all.
        keep: Data that its children inherit.
        samples: Number of children of one prompt.
        literals: Numbers that the operator `tune` writes: pairs (position, value).
    """

    parents: tuple[str, ...]
    operator: str
    inspirations: tuple[str, ...] = ()
    island: int = 0
    model: str | None = None
    cases: int | None = None
    keep: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 1
    literals: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a scored variant (id) again: one more attempt at one case."""

    variant: str
    case: str
    attempt: int


def next_attempt(snapshot: Snapshot, row: int, column: int) -> Evaluate:
    """Return the next attempt of a variant at a case.

    Args:
        snapshot: The archive.
        row: Row of the variant.
        column: Column of the case.

    Returns:
        The decision to evaluate.
    """
    case = list(snapshot.case_scores.cases)[column]
    attempt = snapshot.case_scores.next_attempt(row, case)
    return Evaluate(snapshot.proposals[row].id, case, attempt)


@dataclass(frozen=True)
class Stop:
    """End the run: there is nothing sensible left to do."""

    reason: str


@dataclass(frozen=True)
class Skip:
    """Leave out a decision number that the recorded run never carried out."""


Action = Expand | Evaluate | Stop
"""What a policy may answer."""


class Policy(ABC):
    """A pure function of (snapshot, generator) without state between decisions.

    Args:
        operators: The operators to draw from.
        mates: Choice of second parents; None: the policy draws all parents.
    """

    class Params(plugins.Params):
        """Parameters of a policy that has none."""

    params: Params

    def __init__(
        self, operators: OperatorMix, mates: "MateChoice | None" = None
    ) -> None:
        self.operators, self.mates = operators, mates
        self.params = self.Params()

    @abstractmethod
    def decide(self, snapshot: Snapshot, rng: Generator) -> Action:
        """Decide what to do with a free slot.

        Args:
            snapshot: Holds at least the seed.
            rng: The generator of this decision, the only source of randomness.

        Returns:
            The decision.
        """

    def expand(
        self,
        snapshot: Snapshot,
        rng: Generator,
        available: int,
        draw: Callable[[], int],
        island: int = 0,
        draw_mate: Callable[[], int] | None = None,
    ) -> Expand:
        """Draw an operator and its parents, without repetition.

        A second parent comes from the choice of mates, if the run has one and it gives
        a row.

        Args:
            snapshot: The scored variants.
            rng: The generator of this decision.
            available: Number of different rows that can be drawn.
            draw: Returns a row, possibly one that was drawn before.
            island: Island of the child.
            draw_mate: Returns a row for another parent; None: `draw` does.

        Returns:
            The decision to make a child.
        """
        operator = self.operators.draw(snapshot, rng, available)
        rows = [draw()]
        keep = self.mates.inherit(snapshot, rows[0], rng) if self.mates else {}
        while len(rows) < self.operators.parents[operator]:
            mate = self.mates.choose(snapshot, rows, keep) if self.mates else None
            if mate is None:
                mate = _another(snapshot, rng, rows, draw_mate or draw)
            rows.append(mate)
        return Expand(snapshot.ids(rows), operator, island=island, keep=keep)


class MateChoice(ABC):
    """A strategy that chooses second parents; pure like a policy."""

    def inherit(
        self, snapshot: Snapshot, parent: int, rng: Generator
    ) -> Mapping[str, Any]:
        """Return data that a child inherits from its first parent.

        Args:
            snapshot: The scored variants.
            parent: Row of the first parent.
            rng: The generator of this decision.

        Returns:
            Data for JSON, stored with the decision; empty by default.
        """
        return {}

    @abstractmethod
    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """Choose another parent.

        Args:
            snapshot: The scored variants.
            parents: Rows chosen so far.
            keep: As `inherit` returned it.

        Returns:
            A row that is not in `parents`; None: the policy draws it.
        """


def _another(
    snapshot: Snapshot, rng: Generator, rows: Sequence[int], draw: Callable[[], int]
) -> int:
    for _ in range(_REDRAWS):
        row = draw()
        if row not in rows:
            return row
    others = np.setdiff1d(snapshot.trusted, rows)
    return int(rng.choice(others))


def recorded_decision(proposal: Proposal) -> Expand | Evaluate:
    """Return the decision that a proposal's row records, without prompt context.

    Args:
        proposal: A proposal that is not the seed.

    Returns:
        The decision.
    """
    known = proposal.decision
    if proposal.kind is Kind.EVALUATE:
        return Evaluate(proposal.parents[0], *proposal.evaluates)
    return Expand(
        proposal.parents,
        proposal.operator,
        (),
        proposal.island,
        proposal.model,
        known.cases,
        known.keep,
        literals=known.literals,
    )


def make_policy(
    name: str, operators: OperatorMix, mates: MateChoice | None = None
) -> Policy:
    """Return a policy by name.

    Args:
        name: A key of `POLICIES`, or a dotted path `package.module:Class`; parameters
            may follow: `beam:width=4`.
        operators: The operators to draw from.
        mates: Choice of second parents; None: the policy draws all parents.

    Returns:
        The policy.

    Raises:
        ConfigError: There is no such policy, or a parameter is not valid.
    """
    chosen = Chosen.parse(name)
    found = find_class("policy", chosen.name, POLICIES, Policy)  # type: ignore[type-abstract]
    policy = found(operators, mates)
    policy.params = chosen.params("policy", found.Params)
    return policy
