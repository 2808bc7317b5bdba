"""The next numbers to try: first each literal up and down, then an evolution strategy.

Rechenberg 1973, the (1+1)-ES, with a step size and a weight for each literal. A step is a
function of the results so far, the steps in flight and the generator of its decision.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from evolve.archive import Files, Snapshot, Step
from evolve.operators.literals import Literal, Skeleton, skeleton_of
from evolve.search.policy import Expand
from evolve.search.sampling import choose, elite_rows
from evolve.tuning.knowledge import Knowledge, probe_of, values_after

ELITE = 8  # scores of the ranking in which a program with literals is looked for
PROBES = 0.9  # share of the steps that probe, while a literal is not probed
PATIENCE = 40  # results without a gain after which tuning does not pay
GLANCE = 0.05  # share of the steps that are made although it does not pay
TRIES = 20  # draws of numbers that were not tried before
LARGEST = 1e100
_KEPT = 512  # skeletons in memory


class Tuner:
    """Chooses the parent of a step and its numbers.

    Args:
        files_of: returns the editable files of a scored variant
    """

    def __init__(self, files_of: Callable[[str], Files]) -> None:
        self._files_of = files_of
        self._skeletons: OrderedDict[str, Skeleton] = OrderedDict()
        self.knowledge = Knowledge(self._skeleton)

    def tune(
        self, decision: Expand, snapshot: Snapshot, rng: Generator
    ) -> Expand | None:
        """Return a decision to tune, with its parent and its numbers.

        Args:
            decision: as the policy made it
            snapshot: the results that the decision may see, and the steps in flight
            rng: the generator of the decision

        Returns:
            The decision; None if there is nothing to tune, or if it does not pay.
        """
        self.knowledge.learn(snapshot.steps.ended)
        if self.knowledge.idle >= PATIENCE and rng.random() >= GLANCE:
            return None
        base = self._base(snapshot)
        if base is None:
            return None
        proposal = snapshot.proposals[base]
        values = self._values(self._skeleton(proposal.id), snapshot, rng)
        if values is None:
            return None
        return replace(
            decision,
            parents=(proposal.id,),
            island=proposal.island,
            literals=tuple(sorted(values.items())),
        )

    def _base(self, snapshot: Snapshot) -> int | None:
        """Return the best variant that has literals; None if none of the elite has."""
        for row in elite_rows(snapshot, snapshot.ranking, ELITE).tolist():
            if self._skeleton(snapshot.proposals[row].id).literals:
                return int(row)
        return None

    def _values(
        self, skeleton: Skeleton, snapshot: Snapshot, rng: Generator
    ) -> Mapping[int, float] | None:
        """Return new numbers by position; None if all that were drawn are known."""
        planned = list(snapshot.steps.planned.values())
        tried = self.knowledge.tried | set(self._marks(planned))
        if rng.random() < PROBES:
            for values in self._probes(skeleton, planned):
                if _mark(skeleton, values) not in tried:
                    return values
        for _ in range(TRIES):
            values = self._mutation(skeleton, rng)
            mark = _mark(skeleton, values)
            if values and mark not in tried and mark[1] != skeleton.values:
                return values
        return None

    def _marks(self, steps: list[Step]) -> Iterator[tuple[str, tuple[float, ...]]]:
        for step in steps:
            skeleton = self._skeleton(step.parent)
            yield skeleton.name, values_after(skeleton, step)

    def _probes(
        self, skeleton: Skeleton, planned: list[Step]
    ) -> Iterator[Mapping[int, float]]:
        """Yield each literal once up and once down, unless that was done or is in flight."""
        flying = set()
        for step in planned:
            parent = self._skeleton(step.parent)
            direction = probe_of(parent, step)
            if direction is not None:
                flying.add((parent.literals[step.literals[0][0]].key, direction))
        for place, literal in enumerate(skeleton.literals):
            known = self.knowledge.of(literal)
            for direction in (-1, 1):
                done = direction in known.probed or (literal.key, direction) in flying
                if not done:
                    value = _moved(literal, direction * known.step)
                    if value != literal.value:
                        yield {place: value}

    def _mutation(self, skeleton: Skeleton, rng: Generator) -> Mapping[int, float]:
        """Change one to three literals, drawn by their weights."""
        known = [self.knowledge.of(literal) for literal in skeleton.literals]
        weights = np.array([one.weight for one in known])
        count = int(rng.integers(1, 4))
        places = {choose(weights / weights.sum(), rng) for _ in range(count)}
        return {
            place: _moved(
                skeleton.literals[place], known[place].step * rng.standard_normal()
            )
            for place in sorted(places)
        }

    def _skeleton(self, variant: str) -> Skeleton:
        if variant not in self._skeletons:
            self._skeletons[variant] = skeleton_of(self._files_of(variant))
            if len(self._skeletons) > _KEPT:
                self._skeletons.popitem(last=False)
        self._skeletons.move_to_end(variant)
        return self._skeletons[variant]


def _mark(
    skeleton: Skeleton, values: Mapping[int, float]
) -> tuple[str, tuple[float, ...]]:
    return skeleton.name, values_after(skeleton, Step("", tuple(values.items())))


def _moved(literal: Literal, change: float) -> float:
    """Return a number after a step: an int stays an int, and keeps its sign."""
    value = literal.value
    if isinstance(value, int):
        size = max(1, round(abs(change)))
        whole = value + int(math.copysign(size, change))
        return max(whole, 0) if value >= 0 else min(whole, 0)
    new = float(f"{value + change:.12g}")
    return new if abs(new) < LARGEST else value
