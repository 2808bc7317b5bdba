"""Compare hgm and dgm on agents that change agents, at no cost: evaluations and model calls.

    python -m benchmarks.agent_policies --seeds 10

Uses the $0 world of tests/agents/world.py, where the prompts and tools of an agent determine the
skill of a scripted model, without a sandbox (agent_world.py). `--ahead` decisions are open at a
time, as with that number of workers. `evolve run tests/tasks/agent_world` does the same in the
sandbox.

The column "after" counts until an agent reaches the held-out rate (12 cases that no policy sees) of
the best agent of `dgm`. An evaluation is one episode on one case; an invalid child costs one. A
call is a diagnosis, or a step of an edit, of the toy or of a case.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import fmean, median
from typing import NamedTuple

from benchmarks import markdown
from benchmarks.agent_world import TASK, Limit, Search, Step
from evolve.search import OperatorMix, make_policy
from evolve.tasks import load_task

POLICIES = ("dgm", "hgm")
OTHER = {"evaluations": "calls", "calls": "evaluations"}


class Outcome(NamedTuple):
    """The result of one policy with one seed."""

    agents: int
    proposals: int
    turned_away: int
    evaluations: int
    calls: int
    lost_calls: int
    best: float  # held-out rate of the best agent
    picked: float  # held-out rate of the agent that is best on the search cases
    made: tuple[Step, ...]

    def until(self, rate: float, unit: str) -> int | None:
        """Return the number of `unit` until an agent had this held-out rate; None: never."""
        return next(
            (int(getattr(step, unit)) for step in self.made if step.heldout >= rate),
            None,
        )


def one_run(limit: Limit, ahead: int, told: bool, given: tuple[int, str]) -> Outcome:
    """Run one policy with one seed; `given` is (seed, policy)."""
    seed, name = given
    policy = make_policy(name, OperatorMix({"agentic": 1.0}, {"agentic": 1}))
    search = Search(load_task(TASK), policy, seed, limit, ahead, told)
    picked = search.run()
    return Outcome(
        len(search.made),
        search.proposals,
        search.turned_away,
        search.evaluations,
        search.calls,
        search.lost_calls,
        max(step.heldout for step in search.made),
        picked,
        tuple(search.made),
    )


def cells(one: Outcome, target: float, unit: str) -> list[object]:
    """Return the cells of one policy in a row."""
    return [
        one.agents,
        getattr(one, OTHER[unit]),
        f"{one.turned_away} of {one.proposals}",
        one.until(target, unit) or "never",
        f"{one.best:.3f}",
        f"{one.picked:.3f}",
    ]


def summary(dgm: list[Outcome], hgm: list[Outcome], unit: str) -> str:
    """Summarize which policy was sooner to an agent as good as dgm's best, and rejections."""
    pairs = [
        (d.until(d.best, unit), h.until(d.best, unit))
        for d, h in zip(dgm, hgm, strict=True)
    ]
    sooner = sum(d is not None and h is not None and h < d for d, h in pairs)
    later = sum(d is not None and (h is None or h > d) for d, h in pairs)
    told = (
        f"To an agent as good as dgm's best, in {unit}: hgm sooner {sooner}, later or never "
        f"{later}, equal {len(pairs) - sooner - later}.\n"
    )
    for name, found in zip(POLICIES, (dgm, hgm), strict=True):
        told += (
            f"{name}: {median(one.agents for one in found):g} agents, "
            f"{median(one.evaluations for one in found):g} evaluations, "
            f"{median(one.calls for one in found):g} calls (medians); held-out of the picked "
            f"agent {fmean(one.picked for one in found):.3f}, of the best "
            f"{fmean(one.best for one in found):.3f} (means); unchanged or there already: "
            f"{sum(one.turned_away for one in found)} of {sum(one.proposals for one in found)} "
            f"proposals, with {sum(one.lost_calls for one in found)} of "
            f"{sum(one.calls for one in found)} calls.\n"
        )
    return told


def table(
    limit: Limit, ahead: int, told: bool, seeds: int, pool: ProcessPoolExecutor
) -> str:
    """Run both policies with every seed under one limit; return the table."""
    todo = [(seed, name) for seed in range(seeds) for name in POLICIES]
    found = dict(
        zip(todo, pool.map(partial(one_run, limit, ahead, told), todo), strict=True)
    )
    dgm, hgm = ([found[seed, name] for seed in range(seeds)] for name in POLICIES)
    head = ["seed"] + [
        f"{name}: {column}"
        for name in POLICIES
        for column in (
            "agents",
            OTHER[limit.unit],
            "not new",
            "after",
            "best",
            "picked",
        )
    ]
    rows = [
        [seed, *cells(d, d.best, limit.unit), *cells(h, d.best, limit.unit)]
        for seed, (d, h) in enumerate(zip(dgm, hgm, strict=True))
    ]
    return (
        f'{limit.size} {limit.unit} a run, {ahead} decisions open; "after": {limit.unit} to an '
        f"agent as good as dgm's best\n\n{markdown.table(head, rows)}\n"
        f"{summary(dgm, hgm, limit.unit)}"
    )


def main() -> None:
    """Run both policies with every seed, at equal evaluations and at equal calls, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--evaluations", type=int, default=120, help="case evaluations of a run"
    )
    parser.add_argument("--calls", type=int, default=600, help="model calls of a run")
    parser.add_argument("--ahead", type=int, default=2, help="decisions open at a time")
    parser.add_argument(
        "--untold", action="store_true", help="do not show earlier attempts"
    )
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    limits = (Limit(given.evaluations, "evaluations"), Limit(given.calls, "calls"))
    with ProcessPoolExecutor(given.workers) as pool:
        sys.stdout.write(
            "\n".join(
                table(limit, given.ahead, not given.untold, given.seeds, pool)
                for limit in limits
            )
        )


if __name__ == "__main__":
    main()
