"""Choice of operator and model: by fixed weights, or by a bandit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from evolve.archive import Snapshot
from evolve.search.bandit import Arm, arms_of
from evolve.search.sampling import choose


@dataclass(frozen=True)
class OperatorMix:
    """The operators of a run.

    Attributes:
        weights: Operator -> weight, relative to the others.
        parents: Operator -> number of parents that it takes.
        choice: "weights", or "bandit" to adapt the weights to the results.
        models: Models of the run, for the bandit.
        asking: Operators that need a model.
    """

    weights: Mapping[str, float]
    parents: Mapping[str, int]
    choice: str = "weights"
    models: tuple[str, ...] = ()
    asking: frozenset[str] = field(default_factory=frozenset)

    def draw(self, snapshot: Snapshot, rng: Generator, available: int) -> str:
        """Draw an operator.

        Args:
            snapshot: Its outcomes feed the bandit.
            rng: The generator of this decision.
            available: Maximum number of parents that the operator may take.

        Returns:
            Name of the operator.
        """
        names = [n for n in self.weights if self.parents[n] <= available]
        weights = np.array([self.weights[n] for n in names])
        if self.choice == "bandit":
            arms = self.arms(snapshot)
            weights = np.array(
                [sum(arm.share for arm in arms if arm.operator == n) for n in names]
            )
        return names[choose(weights / weights.sum(), rng)]

    def draw_model(
        self, operator: str, snapshot: Snapshot, rng: Generator
    ) -> str | None:
        """Draw a model for an operator.

        Args:
            operator: Name of the operator.
            snapshot: Its outcomes feed the bandit.
            rng: The generator of this decision.

        Returns:
            Name of the model; None for an operator without a model, and if the caller
            chooses.
        """
        if operator not in self.asking or self.choice != "bandit":
            return None
        arms = [arm for arm in self.arms(snapshot) if arm.operator == operator]
        shares = np.array([arm.share for arm in arms])
        if not shares.sum():
            return None
        return arms[choose(shares / shares.sum(), rng)].model

    def arms(self, snapshot: Snapshot) -> list[Arm]:
        """Return the bandit's arms: every operator with every model it may use.

        Args:
            snapshot: Its outcomes give the state of the arms.

        Returns:
            The arms; an operator without a model is one arm.
        """
        keys = [
            (name, model)
            for name in self.weights
            for model in (self.models if name in self.asking else (None,))
        ]
        return arms_of(snapshot.outcomes, keys, self.weights)
