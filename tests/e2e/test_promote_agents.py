"""A promotion of agents that ends early: it is killed, has no budget left, or loses its sandbox.

Each time what was scored is kept, nothing is tried twice, and there is one look at the held-out cases.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from evolve.archive import ArchiveReader, Event
from tests.agent_model import AgentModel, answer, serving_agents
from tests.cli import EVOLVE, evolve
from tests.e2e.test_agents import assert_paid_once
from tests.e2e.test_audit import Agents, breaks
from tests.e2e.test_steering import wait_for

WORDS = ("cedar", "clove", "cress", "cumin", "daisy", "dahlia", "dill", "acorn")
SPLITS = {"select": 8, "safety": 12, "canary": 3, "heldout": 1}
LOOKED, PROMOTION = "looked at heldout", "promotion"
FIRST: list[dict[str, Any]] = []  # what the run asked before any promotion


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    """A seed, and a child that knows seven words more."""
    folder = tmp_path_factory.mktemp("promotion")
    with serving_agents(AgentModel(answer)) as model:
        agents = Agents(folder / "ready", model).begin(folder / "task", WORDS)
        FIRST.extend(model.requests)
        yield agents


@pytest.fixture
def agents(ready: Agents, tmp_path: Path) -> Iterator[Agents]:
    shutil.copytree(ready.runs, tmp_path / "copy/runs")
    ready.model.requests, ready.model.latency_s = list(FIRST), 0.05
    ready.model.reply = answer
    yield Agents(tmp_path / "copy", ready.model)
    ready.model.latency_s = 0.0


def rows(agents: Agents) -> Counter[tuple[str, str, str]]:
    """(variant, split, case) -> how often, of what a promotion tries."""
    with_archive = ArchiveReader.open(agents.runs / "r" / "archive.db")
    found = Counter(
        (p.id, row.split, row.case)
        for p in with_archive.proposals()
        for row in with_archive.evaluations(p.id)
        if row.split in SPLITS
    )
    with_archive.close()
    return found


def events(agents: Agents, kind: str) -> list[Event]:
    archive = ArchiveReader.open(agents.runs / "r" / "archive.db")
    found = [event for event in archive.events() if event.kind == kind]
    archive.close()
    return found


def begun(agents: Agents) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [EVOLVE, "promote", "r", "--runs-dir", str(agents.runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def killed_when(agents: Agents, reached: Callable[[], bool]) -> None:
    """kill -9 in the middle."""
    process = begun(agents)
    wait_for(lambda: reached() or process.poll() is not None, 120.0)
    assert process.poll() is None, "it ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def count_of(agents: Agents, split: str) -> int:
    return sum(count for (_, one, _), count in rows(agents).items() if one == split)


def assert_promoted_in_one_look(agents: Agents, *options: str) -> None:
    done = agents.promote("--json", *options)
    assert done.code == 0, done.err
    found = done.json()
    assert found["promoted"] and not found["again"] and found["select"]["wins"] == 7
    tried = rows(agents)
    assert set(tried.values()) == {1}, "no case is tried twice"
    for split, count in SPLITS.items():
        assert Counter(name for name, one, _ in tried if one == split) == dict.fromkeys(
            found["heldout"], count
        ), split
    assert len(events(agents, LOOKED)) == len(events(agents, PROMOTION)) == 1
    second = agents.promote()
    assert second.code == 2 and "looked at" in second.err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_promotion_of_agents_that_is_killed_goes_on(agents: Agents) -> None:
    """Among the select cases, in the safety set, and when the look has begun."""
    killed_when(agents, lambda: count_of(agents, "select") >= 3)
    killed_when(agents, lambda: count_of(agents, "safety") >= 2)
    assert events(agents, LOOKED) == []
    agents.model.latency_s = 0.4  # so that the look takes a while
    killed_when(agents, lambda: bool(events(agents, LOOKED)))
    assert events(agents, PROMOTION) == [] and count_of(agents, "heldout") < 2
    agents.model.latency_s = 0.0
    assert_promoted_in_one_look(agents)
    assert_paid_once(agents.runs / "r", agents.model, kills=3)


@pytest.mark.slow
def test_a_promotion_without_budget_stops_and_goes_on(agents: Agents) -> None:
    limit = len(calls_of(agents)) + 5
    assert (
        evolve("resume", "r", "--runs-dir", agents.runs, "--max-calls", limit).code == 0
    )
    stopped = agents.promote()
    assert stopped.code == 1 and stopped.out == "", stopped.out + stopped.err
    assert (
        f"max_calls = {limit}" in stopped.err
        and "all scores so far are kept" in stopped.err
    )
    assert "evolve promote r --max-calls N" in stopped.err
    assert "Warning" not in stopped.err and events(agents, PROMOTION) == []
    kept = rows(agents)
    assert kept and len(calls_of(agents)) <= limit
    state = evolve("status", "r", "--runs-dir", agents.runs, "--json").json()
    assert state["state"] == "stopped" and not state["in_flight"]
    assert_promoted_in_one_look(agents, "--max-calls", "10000")
    assert kept.keys() <= rows(agents).keys()


def calls_of(agents: Agents) -> list[int]:
    archive = ArchiveReader.open(agents.runs / "r" / "archive.db")
    found = [call.id for call in archive.calls()]
    archive.close()
    return found


@pytest.mark.slow
def test_a_promotion_that_loses_its_sandbox_says_so(agents: Agents) -> None:
    """Every box is killed while agents are at work in it: no score comes of that."""
    agents.model.latency_s = 0.5
    process = begun(agents)
    wait_for(
        lambda: count_of(agents, "select") >= 1 or process.poll() is not None, 120.0
    )
    boxes = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "/shared" in child.cmdline()
    ]
    for box in boxes:
        box.kill()
    out, err = process.communicate(timeout=60)
    agents.model.latency_s = 0.0
    assert boxes and process.returncode == 1 and out == "", out + err
    assert (
        "the sandbox failed" in err
        and "Traceback" not in err
        and "unexpected" not in err
    )
    assert events(agents, PROMOTION) == []
    assert {score for _, score in scores(agents, "select")} <= {0.0, 1.0}
    done = agents.promote("--json")
    assert done.code == 0 and done.json()["select"] == {
        "wins": 7,
        "losses": 0,
        "ties": 1,
    }, done.err
    assert set(rows(agents).values()) == {1}


def scores(agents: Agents, split: str) -> list[tuple[str, float | None]]:
    archive = ArchiveReader.open(agents.runs / "r" / "archive.db")
    found = [
        (row.case, row.score)
        for p in archive.proposals()
        for row in archive.evaluations(p.id)
        if row.split == split
    ]
    archive.close()
    return found


@pytest.mark.slow
def test_an_agent_is_verified_with_a_model_of_its_run(agents: Agents) -> None:
    """It works on every case once more; the calls are no part of the run, the look is."""
    before, asked = len(calls_of(agents)), agents.model.calls
    done = evolve("verify", "r", "--runs-dir", agents.runs, "--json")
    assert done.code == 0, done.err
    cases = done.json()["cases"]
    recorded = [case for case in cases if case["recorded"] is not None]
    assert done.json()["holds"] and {case["split"] for case in recorded} == {"search"}
    assert all(case["score"] == case["recorded"] for case in recorded)
    assert [case["score"] for case in cases if case["split"] == "heldout"] == [0.0]
    assert len(calls_of(agents)) == before and agents.model.calls > asked
    assert [event.data["by"] for event in events(agents, LOOKED)] == ["verify"]
    without = evolve("verify", "r", "--runs-dir", agents.runs, "--json", "--no-heldout")
    assert {case["split"] for case in without.json()["cases"]} == {"search", "select"}


def test_what_ends_a_verification_of_an_agent_is_said(agents: Agents) -> None:
    agents.model.reply = breaks
    failed = evolve("verify", "r", "--runs-dir", agents.runs, "--no-heldout")
    assert failed.code == 1 and "127.0.0.1" in failed.err and failed.out == "", (
        failed.err
    )
    agents.model.reply = answer
    assert (
        evolve("resume", "r", "--runs-dir", agents.runs, "--max-calls", "3").code == 0
    )
    poor = evolve("verify", "r", "--runs-dir", agents.runs, "--no-heldout")
    assert (
        poor.code == 1 and "max_calls = 3" in poor.err and "evolve resume" in poor.err
    ), poor.err
    assert "Traceback" not in failed.err + poor.err and events(agents, LOOKED) == []
