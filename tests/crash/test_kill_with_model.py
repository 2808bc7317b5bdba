"""kill -9 while a model is asked: every stored reply is used once and nothing is paid twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.archive import ArchiveReader, CallState
from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.crash.test_kill import (
    KILLS,
    VARIANTS,
    assert_one_tree,
    assert_stores_clean,
    kill_at_random,
)

CONCURRENCY = 4


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_twenty_times(
    tmp_path: Path,
    steps_task: Path,
    scripted: Callable[..., ScriptedServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = scripted("--latency", 0.1, "--bad-rate", 0.1)
    monkeypatch.setenv("EVOLVE_MODEL_CALLS", str(CONCURRENCY))
    chance = random.Random(11)
    limit = ["--max-variants", str(VARIANTS), "--json", "--runs-dir", str(tmp_path)]
    price = f"{server.model}=1/1"
    first = [
        EVOLVE,
        "run",
        str(steps_task),
        "--name",
        "r",
        "--model",
        server.model,
        "--price",
        price,
        *limit,
    ]
    kills = 0
    while kills < KILLS:
        begun = (tmp_path / "r").exists()
        kills += kill_at_random(
            [EVOLVE, "resume", "r", *limit] if begun else first, chance
        )
    done = evolve("resume", "r", *limit)
    assert done.code == 0, done.err
    variants = evolve("tree", "r", "--runs-dir", tmp_path, "--json").json()
    finished = [
        v for v in variants if v["status"] in ("scored", "failed") and v["number"] > 0
    ]
    assert len(finished) == len(variants) - 1 == VARIANTS
    assert_one_tree(variants)
    assert_stores_clean(tmp_path / "r")
    assert_calls_add_up(tmp_path / "r", server)


def assert_calls_add_up(run: Path, server: ScriptedServer) -> None:
    """Each stored reply used once; spend is settled plus uncertain; few calls were lost."""
    archive = ArchiveReader.open(run / "archive.db")
    calls, spend = archive.calls(), archive.spend()
    archive.close()
    replied = [call for call in calls if call.state is CallState.REPLIED]
    assert len({(call.proposal, call.purpose, call.step) for call in replied}) == len(
        replied
    )
    lost = [call for call in calls if call.state is CallState.UNCERTAIN]
    assert not [call for call in calls if call.state is CallState.SENT]
    assert spend.settled_usd == pytest.approx(sum(call.cost_usd for call in replied))
    assert spend.uncertain_usd == pytest.approx(sum(call.reserved_usd for call in lost))
    assert spend.usd == pytest.approx(spend.settled_usd + spend.uncertain_usd)
    unaccounted = server.stats()["calls"] - len(replied)
    assert 0 <= unaccounted <= len(lost) <= KILLS * CONCURRENCY
