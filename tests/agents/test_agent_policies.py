"""The benchmark of policies that change agents: its world is the task's, and a run is repeatable."""

from __future__ import annotations

import pytest

from benchmarks.agent_policies import one_run
from benchmarks.agent_world import SCORER, TASK, Limit, Search
from evolve.search import OperatorMix, make_policy
from evolve.tasks import load_task
from tests.agents.world import CHANGES


@pytest.mark.slow
def test_a_run_is_repeatable() -> None:
    first, again = (
        one_run(Limit(14, "evaluations"), 2, True, (3, "hgm")) for _ in range(2)
    )
    assert first == again and first.agents >= 3
    assert (
        first.until(first.best, "calls") is not None
        and first.until(2.0, "calls") is None
    )


def test_agents_solve_what_their_prompts_and_tools_let_them() -> None:
    """As in the sandbox: the seed solves plain puzzles only, and one that looks solves more."""
    task = load_task(TASK)
    search = Search(
        task,
        make_policy("hgm", OperatorMix({"agentic": 1.0}, {"agentic": 1})),
        0,
        Limit(1, "evaluations"),
    )
    looks = dict(task.seed) | {
        "prompts/system.md": task.seed["prompts/system.md"]
        + CHANGES["look"].line.encode()
    }
    kinds = {
        case["params"]["kind"]: case
        for case in SCORER.cases(1)
        if case["split"] == "search"
    }
    for kind, seed_solves, look_solves in (
        ("plain", 1, 1),
        ("look", 0, 1),
        ("look test", 0, 0),
    ):
        assert search._row(task.seed, kinds[kind], 0).score == seed_solves, kind
        assert search._row(looks, kinds[kind], 0).score == look_solves, kind
