"""The contract of a policy, and how one is found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evolve.archive import Kind, Proposal, Snapshot
from evolve.plugins import find_class
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
_REDRAWS = 50  # of a second parent, before any other elite will do


@dataclass(frozen=True)
class Expand:
    """Make a child of these parents (ids) with this operator; show it the inspirations."""

    parents: tuple[str, ...]
    operator: str
    inspirations: tuple[str, ...] = ()
    island: int = 0
    # who is asked; None: one of the run's models, by the proposal's id
    model: str | None = None
    # how many of the search cases score it at first; None: all
    cases: int | None = None
    keep: Mapping[str, Any] = field(default_factory=dict)  # what its children inherit
    samples: int = 1  # children of one prompt


@dataclass(frozen=True)
class Evaluate:
    """Learn more about a scored variant (id): one more attempt at one case."""

    variant: str
    case: str
    attempt: int


@dataclass(frozen=True)
class Stop:
    """Nothing sensible is left to do."""

    reason: str


@dataclass(frozen=True)
class Skip:
    """This number was never carried out in the run that is followed."""


Action = Expand | Evaluate | Stop
"""What a policy may answer."""


class Policy(ABC):
    """A pure function of (snapshot, generator); it keeps nothing between decisions."""

    def __init__(self, operators: OperatorMix, mates: MateChoice | None = None) -> None:
        self.operators, self.mates = operators, mates

    @abstractmethod
    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Action:
        """What to do with a free slot. The snapshot holds at least the seed."""

    def expand(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        available: int,
        draw: Callable[[], int],
        island: int = 0,
    ) -> Expand:
        """A child of parents (rows) that `draw` gives, without repetition.

        `available` says how many there are to draw. A second parent is the choice of a mate where
        the run has one.
        """
        operator = self.operators.draw(snapshot, rng, available)
        rows = [draw()]
        keep = self.mates.inherit(snapshot, rows[0], rng) if self.mates else {}
        while len(rows) < self.operators.parents[operator]:
            mate = self.mates.choose(snapshot, rows, keep) if self.mates else None
            rows.append(_another(snapshot, rng, rows, draw) if mate is None else mate)
        return Expand(snapshot.ids(rows), operator, island=island, keep=keep)


class MateChoice(ABC):
    """Chooses second parents. Pure, as a policy is."""

    def inherit(
        self, snapshot: Snapshot, parent: int, rng: np.random.Generator
    ) -> Mapping[str, Any]:
        """What a child of this parent (row) carries on."""
        return {}

    @abstractmethod
    def choose(
        self, snapshot: Snapshot, parents: Sequence[int], keep: Mapping[str, Any]
    ) -> int | None:
        """The row of one more parent; None when this choice has no opinion."""


def _another(
    snapshot: Snapshot,
    rng: np.random.Generator,
    rows: Sequence[int],
    draw: Callable[[], int],
) -> int:
    for _ in range(_REDRAWS):
        row = draw()
        if row not in rows:
            return row
    others = np.setdiff1d(snapshot.trusted, rows)
    return int(rng.choice(others))


def recorded_decision(proposal: Proposal) -> Expand | Evaluate:
    """The decision that a proposal's row keeps, without what was shown to a model."""
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
    )


def make_policy(
    name: str, operators: OperatorMix, mates: MateChoice | None = None
) -> Policy:
    """A built-in name or a dotted path `package.module:Class`. Raises `ConfigError`."""
    return find_class("policy", name, POLICIES, Policy)(operators, mates)  # type: ignore[type-abstract]
