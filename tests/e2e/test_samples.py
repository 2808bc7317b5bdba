"""Several replies to one prompt, temperatures in turn, vectors and judgements by models."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.archive import ArchiveReader, Call, CallPurpose, CallState, Proposal
from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.crash.test_kill import kill_at_random

Start = Callable[..., ScriptedServer]


def rows(run: Path) -> tuple[list[Proposal], list[Call]]:
    reader = ArchiveReader.open(run / "archive.db")
    found = reader.proposals(), reader.calls()
    reader.close()
    return found


def start(
    folder: Path,
    task: Path,
    server: ScriptedServer,
    name: str,
    *more: str | float,
    env: dict[str, str] | None = None,
) -> None:
    done = evolve(
        "run",
        task,
        "--model",
        server.model,
        "--name",
        name,
        "--runs-dir",
        folder,
        "--json",
        *map(str, more),
        env=env,
    )
    assert done.code == 0, done.err


def test_samples_of_one_prompt_are_children_of_one_decision(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    price = f"{server.model}=1/2"
    start(
        tmp_path,
        tasks / "cap_set",
        server,
        "r",
        "--samples",
        4,
        "--max-variants",
        18,
        "--price",
        price,
        env={"EVOLVE_TEMPERATURE": "0.2, 0.9", "EVOLVE_REPAIRS": "0"},
    )
    proposals, calls = rows(tmp_path / "r")
    groups = Counter(p.decision.shared.first for p in proposals if p.decision.shared)
    assert set(groups.values()) <= {2, 3, 4} and 4 in groups.values()
    for first in groups:
        members = {
            p.id: p
            for p in proposals
            if p.decision.shared and p.decision.shared.first == first
        }
        asked = [call for call in calls if call.proposal in members]
        assert len({call.request for call in asked}) == 1, "one prompt"
        assert len({p.parents for p in members.values()}) == 1
        request = json.loads(asked[0].request)
        assert request["n"] == len(members)
        assert request["temperature"] == (0.2, 0.9)[first % 2]
        assert [call.prompt_tokens > 0 for call in asked] == [True] + [False] * (
            len(asked) - 1
        )
    assert len({call.reply for call in calls}) > len(groups), "the replies differ"
    assert server.stats()["calls"] == len(calls) == len(proposals) - 1
    replay = evolve("replay", "r", "--name", "again", "--runs-dir", tmp_path)
    assert replay.code == 0 and "0 differences" in replay.err, replay.err


@pytest.mark.slow
def test_samples_under_a_window_are_the_same_after_kills(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    import random

    server = scripted("--latency", 0.1, "--bad-rate", 0.1)
    options = ("--samples", 3, "--max-variants", 40, "--window", 8)
    start(tmp_path, tasks / "cap_set", server, "whole", *options)
    first = [
        EVOLVE,
        "run",
        str(tasks / "cap_set"),
        "--name",
        "r",
        "--runs-dir",
        str(tmp_path),
        "--model",
        server.model,
        "--json",
        *map(str, options),
    ]
    again = [EVOLVE, "resume", "r", "--runs-dir", str(tmp_path), "--json"]
    chance = random.Random(5)
    for _ in range(6):
        kill_at_random(again if (tmp_path / "r").exists() else first, chance)
    assert evolve("resume", "r", "--runs-dir", tmp_path, "--json").code == 0
    one, other = (
        evolve("tree", name, "--json", "--runs-dir", tmp_path).out
        for name in ("whole", "r")
    )
    assert one == other


def test_vectors_by_a_model_are_calls_and_are_kept(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    start(
        tmp_path,
        tasks / "cap_set",
        server,
        "r",
        "--max-variants",
        8,
        "--embedding",
        server.model,
        "--window",
        4,
    )
    proposals, calls = rows(tmp_path / "r")
    vectors = [call for call in calls if call.purpose is CallPurpose.EMBED]
    scored = [p for p in proposals if p.state.value == "scored"]
    assert {call.proposal for call in vectors} == {p.id for p in scored}, (
        "the seed included"
    )
    assert all(
        call.state is CallState.REPLIED and call.prompt_tokens > 0 for call in vectors
    )
    assert server.stats()["calls"] == len(calls)
    before = evolve("tree", "r", "--json", "--runs-dir", tmp_path).out
    server.stop()
    assert evolve("replay", "r", "--name", "again", "--runs-dir", tmp_path).code == 0
    assert evolve("tree", "again", "--json", "--runs-dir", tmp_path).out == before


def test_a_judge_may_let_near_copies_pass(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    gate = {"EVOLVE_NOVELTY_GATE": "0.5"}
    done = evolve(
        "run",
        tasks / "cap_set",
        "--model",
        server.model,
        "--name",
        "strict",
        "--runs-dir",
        tmp_path,
        "--max-variants",
        6,
        "--max-calls",
        12,
        "--json",
        env=gate,
    )
    assert done.code == 0, done.err
    strict, _ = rows(tmp_path / "strict")
    assert {p.reason for p in strict if p.number and p.state.finished} == {"not novel"}
    start(
        tmp_path,
        tasks / "cap_set",
        server,
        "judged",
        "--max-variants",
        6,
        env=gate | {"EVOLVE_NOVELTY_JUDGE": server.model},
    )
    judged, calls = rows(tmp_path / "judged")
    asked = {
        call.proposal: call.reply
        for call in calls
        if call.purpose is CallPurpose.JUDGE and call.step == 0
    }
    assert set(asked.values()) == {"DIFFERENT", "SAME"}
    scored = {p.id for p in judged if p.number and p.state.value == "scored"}
    assert scored and all(
        "DIFFERENT"
        in [
            c.reply for c in calls if c.proposal == p and c.purpose is CallPurpose.JUDGE
        ]
        for p in scored
    )
