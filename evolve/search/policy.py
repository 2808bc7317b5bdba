"""The contract of a policy, and how one is found by name."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from archive import Snapshot
from evolve.errors import ConfigError, did_you_mean
from evolve.search.mix import OperatorMix

POLICIES = {
    "weighted": "evolve.search.weighted:Weighted",
    "best_of_n": "evolve.search.best_of_n:BestOfN",
    "random": "evolve.search.random:Random",
}


@dataclass(frozen=True)
class Expand:
    """Make a child of these parents (ids) with this operator; show it the inspirations."""

    parents: tuple[str, ...]
    operator: str
    inspirations: tuple[str, ...] = ()
    island: int = 0
    model: str | None = None  # who is asked; None: one of the run's models, by the proposal's id


@dataclass(frozen=True)
class Stop:
    """Nothing sensible is left to do."""

    reason: str


@dataclass(frozen=True)
class Skip:
    """This number was never carried out in the run that is followed."""


class Policy(ABC):
    """A pure function of (snapshot, generator); it keeps nothing between decisions."""

    def __init__(self, operators: OperatorMix) -> None:
        self.operators = operators

    @abstractmethod
    def decide(self, snapshot: Snapshot, rng: np.random.Generator) -> Expand | Stop:
        """What to do with a free slot. The snapshot holds at least the seed."""


def make_policy(name: str, operators: OperatorMix) -> Policy:
    """A built-in name or a dotted path `package.module:Class`. Raises `ConfigError`."""
    module, _, attribute = POLICIES.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise ConfigError(f"there is no policy {name!r}", did_you_mean(name, POLICIES)) from None
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise ConfigError(f"{name} is no policy", "see evolve.search.policy.Policy")
    return found(operators)
