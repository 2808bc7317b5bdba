"""Compare policies in a simulated world: inheritance, harm, neutral changes and noise.

    python -m benchmarks.simulated --policy dgm --policy hgm:alpha=0.6 --seeds 60

Policies run in it over a real snapshot, hundreds of decisions in a tenth of a second
and without a sandbox, so that they can be compared over many seeds. The results hold
for worlds like this one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

from benchmarks import markdown
from evolve.archive import (
    CaseAttempt,
    Decision,
    Evaluation,
    Frame,
    Kind,
    Proposal,
    Snapshot,
    State,
    derive_id,
)
from evolve.search.hgm import ALPHA
from evolve.search.mix import OperatorMix
from evolve.search.policy import Evaluate, Expand, Policy, Stop, make_policy

_MIX = OperatorMix({"change": 0.8, "cross": 0.2}, {"change": 1, "cross": 2})


@dataclass(frozen=True)
class World:
    """Parameters of a world. Quality is a log-odds: 0 solves half of the average cases.

    Attributes:
        cases: Number of cases, each solved or not; 0: one score, which is the quality.
        evaluations: Budget of the run, in evaluations of one case.
        start: Quality of the seed.
        neutral: Share of children as good as their parent.
        harmful: Share of children worse than their parent.
        broken: Share of children without a score; the remaining ones are better.
        step: Mean gain of a better child.
        harm: Mean loss of a worse child.
        inherited: How much the size of gains differs between lineages.
        spread: Standard deviation of the cases' difficulties.
        noise: Standard deviation of one score, in a world without cases.
    """

    cases: int = 60
    evaluations: int = 800
    start: float = -1.5
    neutral: float = 0.35
    harmful: float = 0.35
    broken: float = 0.1
    step: float = 0.5
    harm: float = 1.0
    inherited: float = 1.0
    spread: float = 1.0
    noise: float = 0.0

    @cached_property
    def case_ids(self) -> tuple[str, ...]:
        """Names of the cases; one for a world without cases."""
        return tuple(f"case{number}" for number in range(max(self.cases, 1)))


class Being(NamedTuple):
    """The properties of a variant that are hidden from the policy."""

    quality: float
    reach: float  # scale of its children's gains, which they inherit


class Result(NamedTuple):
    """The result of one run.

    Attributes:
        worth: True worth of the variant that the run picks as its best.
        variants: Number of scored variants.
        evaluations: Number of evaluations used.
    """

    worth: float
    variants: int
    evaluations: int


@dataclass
class Simulation:
    """One run of one policy in one world.

    Attributes:
        seed: Seed of all random numbers.
        beings: Hidden properties by proposal id.
        used: Evaluations used so far.
    """

    world: World
    policy: Policy
    seed: int
    snapshot: Snapshot = field(init=False)
    beings: dict[str, Being] = field(default_factory=dict)
    used: int = 0

    def __post_init__(self) -> None:
        world = self.world
        most = round(world.evaluations**ALPHA) if world.cases else world.evaluations
        self.snapshot = Snapshot(True, Frame(world.case_ids, budget=most))
        self._difficulty = np.random.default_rng([self.seed, 0]).normal(
            0.0, world.spread, max(world.cases, 1)
        )

    def run(self) -> Result:
        """Run until all evaluations are used or the policy stops.

        Returns:
            The result.
        """
        self._add(self._proposal(0, (), "seed"), Being(self.world.start, 1.0), None)
        number = 1
        while self.used < self.world.evaluations:
            decision = self.policy.decide(
                self.snapshot, np.random.default_rng([self.seed, number, 1])
            )
            if isinstance(decision, Stop):
                break
            if isinstance(decision, Evaluate):
                self._evaluate(decision, number)
            else:
                self._expand(decision, number)
            number += 1
        best = self.snapshot.best()
        assert best is not None
        return Result(self._worth(self.beings[best.id]), len(self.snapshot), self.used)

    def _proposal(
        self, number: int, parents: tuple[str, ...], operator: str
    ) -> Proposal:
        return Proposal(
            derive_id(self.seed, number),
            number,
            State.SCORED,
            operator,
            parents,
            0,
            0.0,
            tree="simulated",
        )

    def _expand(self, decision: Expand, number: int) -> None:
        made = replace(
            self._proposal(number, decision.parents, decision.operator),
            decision=Decision(keep=decision.keep),
        )
        self.snapshot.expect(made.parents)
        rng = np.random.default_rng([self.seed, number, 2])
        child = self._child([self.beings[parent] for parent in made.parents], rng)
        if child is None:
            self.used += 1
            self.snapshot.fail(made)
        else:
            self._add(made, child, decision.cases)

    def _child(
        self, parents: Sequence[Being], rng: np.random.Generator
    ) -> Being | None:
        """Return a child with the quality of one parent and the reach of the other.

        None for a broken child.
        """
        world = self.world
        order = rng.permutation(len(parents))
        quality, reach = parents[order[0]].quality, parents[order[-1]].reach
        kind = rng.random()
        if kind < world.broken:
            return None
        if kind < world.broken + world.harmful:
            quality -= float(rng.exponential(world.harm))
        elif kind >= world.broken + world.harmful + world.neutral:
            quality += float(rng.exponential(world.step * reach))
        return Being(
            quality,
            reach * math.exp(world.inherited * float(rng.standard_normal()) / 2),
        )

    def _add(self, made: Proposal, being: Being, count: int | None) -> None:
        self.beings[made.id] = being
        cases = self.world.case_ids[:count]
        self.snapshot.add(
            made, None, [self._row(made.number, being, case, 0) for case in cases]
        )
        self.used += len(cases)

    def _evaluate(self, decision: Evaluate, number: int) -> None:
        made = replace(
            self._proposal(number, (decision.variant,), Kind.EVALUATE.value),
            kind=Kind.EVALUATE,
            decision=Decision(evaluates=CaseAttempt(decision.case, decision.attempt)),
        )
        self.snapshot.expect_evaluation(made)
        variant = self.snapshot.proposals[self.snapshot.row_of(decision.variant)]
        row = self._row(
            variant.number, self.beings[variant.id], decision.case, decision.attempt
        )
        self.snapshot.observe(decision.variant, [row])
        self.used += 1

    def _row(self, number: int, being: Being, case: str, attempt: int) -> Evaluation:
        """Evaluate a case; the result depends only on variant, case and attempt."""
        place = self.world.case_ids.index(case)
        rng = np.random.default_rng([self.seed, number, 3, place, attempt])
        if not self.world.cases:
            score = being.quality + self.world.noise * float(rng.standard_normal())
        else:
            score = float(
                rng.random() < _share(being.quality - float(self._difficulty[place]))
            )
        return Evaluation(case, "search", attempt, score)

    def _worth(self, being: Being) -> float:
        """Return the expected share of solved cases; without cases, the quality."""
        if not self.world.cases:
            return being.quality
        return float(np.mean([_share(being.quality - d) for d in self._difficulty]))


def _share(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(log_odds, -50.0), 50.0)))


def simulate(name: str, world: World, seeds: int) -> list[Result]:
    """Run a policy with the seeds 0 to `seeds` - 1, in parallel processes.

    Args:
        name: Name of a policy, with parameters; or a dotted path.
        world: The world; the same seeds give the same cases for every policy.
        seeds: Number of runs.

    Returns:
        One result per seed.

    Raises:
        ConfigError: There is no such policy.
    """
    make_policy(name, _MIX)  # raises for an invalid name
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(_one_run, name, world), range(seeds)))


def _one_run(name: str, world: World, seed: int) -> Result:
    return Simulation(world, make_policy(name, _MIX), seed).run()


class Figures(NamedTuple):
    """Means of a policy over all seeds.

    Attributes:
        worth: True worth of the variant that it picks.
        standard_error: Of `worth`.
        variants: Number of variants that it made.
    """

    worth: float
    standard_error: float
    variants: float


def figures_of(results: Sequence[Result]) -> Figures:
    """Return the means over at least two runs."""
    worths = [result.worth for result in results]
    return Figures(
        fmean(worths),
        stdev(worths) / math.sqrt(len(worths)),
        fmean(result.variants for result in results),
    )


DEFAULT = ("dgm", "hgm:pooled=false,tempered=false", "hgm:tempered=false", "hgm")


def main() -> int:
    """Print a row for each policy, best first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--policy", action="append", help="with parameters; repeatable")
    parser.add_argument("--seeds", type=int, default=60, help="runs of each policy")
    parser.add_argument("--evaluations", type=int, default=800, help="of one case")
    parser.add_argument("--cases", type=int, default=60, help="0: one score, no bounds")
    parser.add_argument("--noise", type=float, default=0.0, help="with --cases 0")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    world = World(cases=given.cases, evaluations=given.evaluations, noise=given.noise)
    found = {
        name: figures_of(simulate(name, world, given.seeds))
        for name in given.policy or DEFAULT
    }
    if given.json:
        rows = {name: row._asdict() for name, row in found.items()}
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    ranked = sorted(found.items(), key=lambda item: -item[1].worth)
    sys.stdout.write(
        f"{given.seeds} seeds, {given.evaluations} evaluations each\n\n"
        + markdown.table(
            ["policy", "true worth of its pick", "standard error", "variants"],
            (
                [name, f"{r.worth:.4f}", f"{r.standard_error:.4f}", f"{r.variants:.0f}"]
                for name, r in ranked
            ),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
