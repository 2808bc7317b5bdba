"""Agents that improve themselves for nothing, in Docker: killed and resumed, and better in the end.

12 agents of `dgm` are about 190 case evaluations; `hgm` makes 28 agents of about 110. A run takes some
minutes on two cores (6 with both policies at once on a busy machine).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.archive import interval
from tests.agent_model import AgentModel, serving_agents
from tests.agents.world import answer
from tests.agents.world_run import HELPS, carried_out, more_cases, worked
from tests.e2e.test_repeatable import asked, tree

AGENTS = {"dgm": 12, "hgm": 28}  # the seed included
RUN_SEED = {"dgm": 0, "hgm": 0}  # each finds all that helps
EVALUATIONS = 110  # at least
KILLED_AT = (8, 20)  # rows in the archive
SEED, FEW = 3, 6  # agents of dgm, the seed included


@pytest.mark.parametrize("policy", AGENTS)
@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_best_agent_of_a_run_is_better_than_the_seed(
    tmp_path: Path, policy: str
) -> None:
    """Worse on no held-out case, and the intervals do not touch; the lineage shows why."""
    found = carried_out(tmp_path, policy, AGENTS[policy], KILLED_AT, RUN_SEED[policy])
    assert found.states["scored"] + found.states["failed"] == AGENTS[policy], (
        found.states
    )
    assert found.evaluations >= EVALUATIONS
    assert found.seed.keys() == found.best.keys() and len(found.seed) == 24
    assert all(found.best[case] >= found.seed[case] for case in found.seed)
    assert (
        interval(list(found.best.values())).low
        > interval(list(found.seed.values())).high
    )
    assert sorted(found.helped) == sorted(HELPS), found.path


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_of_dgm_is_the_same_whoever_is_fast_and_whatever_dies(
    tmp_path: Path,
) -> None:
    """`dgm` evaluates agents while they are changed: what their editors are shown was known before."""
    more_cases(tmp_path / "task")
    for name, uneven_s, workers, kill_at in (
        ("whole", 0.3, 4, ()),
        ("killed", 0.0, 2, (15, 40)),
    ):
        with serving_agents(AgentModel(answer, uneven_s=uneven_s)) as model:
            worked(tmp_path, name, "dgm", FEW, kill_at, model, workers, SEED)
    assert asked(tmp_path, "killed") == asked(tmp_path, "whole")
    assert tree(tmp_path, "killed") == tree(tmp_path, "whole")
