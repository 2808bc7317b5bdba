"""Which operator comes next, and which model it asks: by fixed weights, or by what has paid off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evolve.archive import Snapshot
from evolve.search.bandit import Arm, arms_of
from evolve.search.sampling import choose


@dataclass(frozen=True)
class OperatorMix:
    """Operators with their weights, and how many parents each one takes."""

    weights: Mapping[str, float]
    parents: Mapping[str, int]
    choice: str = "weights"
    models: tuple[str, ...] = ()
    # operators that need a model
    asking: frozenset[str] = field(default_factory=frozenset)

    def draw(self, snapshot: Snapshot, rng: np.random.Generator, available: int) -> str:
        """One operator that `available` scored variants suffice for."""
        names = [n for n in self.weights if self.parents[n] <= available]
        weights = np.array([self.weights[n] for n in names])
        if self.choice == "bandit":
            arms = self.arms(snapshot)
            weights = np.array(
                [sum(arm.share for arm in arms if arm.operator == n) for n in names]
            )
        return names[choose(weights / weights.sum(), rng)]

    def draw_model(
        self, operator: str, snapshot: Snapshot, rng: np.random.Generator
    ) -> str | None:
        """Who is asked by this operator; None where nobody is, or where it is left to the caller."""
        if operator not in self.asking or self.choice != "bandit":
            return None
        arms = [arm for arm in self.arms(snapshot) if arm.operator == operator]
        shares = np.array([arm.share for arm in arms])
        if not shares.sum():
            return None
        return arms[choose(shares / shares.sum(), rng)].model

    def arms(self, snapshot: Snapshot) -> list[Arm]:
        """Every operator with every model it may ask, as the archive's rows have them."""
        keys = [
            (name, model)
            for name in self.weights
            for model in (self.models if name in self.asking else (None,))
        ]
        return arms_of(snapshot.outcomes, keys, self.weights)
