"""All operators, the learned choice between them, and notes, in whole runs at a scripted server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.archive import ArchiveReader, Call, CallPurpose
from tests.cli import ScriptedServer, evolve

Start = Callable[..., ScriptedServer]
OPERATORS = (
    "diff",
    "rewrite",
    "crossover",
    "simplify",
    "explain_then_change",
    "refine",
)


def calls_of(cwd: Path, run: str = "r") -> list[Call]:
    archive = ArchiveReader.open(cwd / "runs" / run / "archive.db")
    found = archive.calls()
    archive.close()
    return found


@pytest.mark.slow
def test_a_bandit_over_six_operators_and_two_models(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    models = [scripted().model, scripted("--bad-rate", 1.0).model]
    mix = [part for name in OPERATORS for part in ("--operator", name)]
    both = [part for name in models for part in ("--model", name)]
    env = {
        "EVOLVE_OPERATOR_CHOICE": "bandit",
        "EVOLVE_NOTES_EVERY": "10",
        "EVOLVE_WINDOW": "4",
    }
    done = evolve(
        "run",
        tasks / "circle_packing",
        *both,
        *mix,
        "--name",
        "r",
        "--max-variants",
        30,
        "--max-calls",
        150,
        "--json",
        cwd=tmp_path,
        env=env,
    )
    assert done.code == 0, done.err
    arms = evolve("show", "--bandit", "--json", cwd=tmp_path).json()
    assert {(arm["operator"], arm["model"]) for arm in arms} == {
        (operator, model) for operator in OPERATORS for model in models
    }
    assert sum(arm["share"] for arm in arms) == pytest.approx(1.0)
    table = evolve("show", "--bandit", cwd=tmp_path).out
    assert "is used" in table and "explain_then_change" in table
    asked = [c for c in calls_of(tmp_path) if c.purpose is CallPurpose.PROPOSE]
    assert {c.model for c in asked} == set(models)
    chosen = {v["id"]: v for v in evolve("tree", "r", "--json", cwd=tmp_path).json()}
    assert len({v["operator"] for v in chosen.values()} & set(OPERATORS)) >= 4
    again = evolve("replay", "r", cwd=tmp_path)
    assert again.code == 0 and "0 differences" in again.err, again.err


def test_notes_are_taken_kept_and_shown(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    env = {"EVOLVE_NOTES_EVERY": "8", "EVOLVE_WINDOW": "4"}
    run = ("--model", server.model, "--name", "r", "--json")
    assert (
        evolve(
            "run", tasks / "cap_set", *run, "--max-variants", 12, cwd=tmp_path, env=env
        ).code
        == 0
    )
    assert evolve("resume", "r", "--max-variants", 24, cwd=tmp_path).code == 0
    archive = ArchiveReader.open(tmp_path / "runs" / "r" / "archive.db")
    notes, proposals = archive.notes(), {p.id: p for p in archive.proposals()}
    archive.close()
    numbers = [note.number for note in notes]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 2, (
        "each once, over a resume"
    )
    assert all((number - 1) % 8 == 0 for number in numbers)
    texts = {note.number: note.text for note in notes}
    for call in calls_of(tmp_path):
        shown = proposals[call.proposal].decision.notes
        prompt = json.loads(call.request)["messages"][1]["content"]
        assert ("# Notes on this search" in prompt) == (shown is not None)
        if shown is not None:
            assert texts[shown] in prompt and shown <= proposals[call.proposal].number


def test_notes_by_a_model_are_calls_in_the_budget(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    env = {"EVOLVE_NOTES_EVERY": "5", "EVOLVE_NOTES": "model", "EVOLVE_WINDOW": "4"}
    done = evolve(
        "run",
        tasks / "cap_set",
        "--model",
        server.model,
        "--name",
        "r",
        "--max-calls",
        30,
        "--json",
        cwd=tmp_path,
        env=env,
    )
    assert done.code == 0, done.err
    calls = calls_of(tmp_path)
    assert len(calls) == server.stats()["calls"] <= 30
    seed = evolve("show", "seed", "--json", cwd=tmp_path).json()
    meta = [c for c in calls if c.proposal == seed["id"]]
    assert meta and [c.step % 5 for c in meta] == [1] * len(meta)
    assert seed["status"] == "scored", "asking for notes does not change the seed"
    assert any("Hello." in c.request for c in calls if c.proposal != seed["id"]), (
        "the words are shown"
    )
    again = evolve("replay", "r", cwd=tmp_path)
    assert again.code == 0 and "0 differences" in again.err, again.err


@pytest.mark.slow
def test_what_is_learned_does_not_depend_on_who_is_fast(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    """Choices of the bandit, notes and prompts: the same for any number of workers under a window."""
    server = scripted("--bad-rate", 0.2, "--latency", 0.05, "--spread", 1)
    env = {
        "EVOLVE_OPERATOR_CHOICE": "bandit",
        "EVOLVE_NOTES": "model",
        "EVOLVE_NOTES_EVERY": "6",
        "EVOLVE_WINDOW": "4",
    }
    mix = [part for name in OPERATORS for part in ("--operator", name)]
    seen = []
    for workers in (1, 4):
        done = evolve(
            "run",
            tasks / "cap_set",
            "--model",
            server.model,
            *mix,
            "--name",
            f"w{workers}",
            "--max-variants",
            20,
            "--workers",
            workers,
            "--json",
            cwd=tmp_path,
            env=env,
        )
        assert done.code == 0, done.err
        archive = ArchiveReader.open(tmp_path / "runs" / f"w{workers}" / "archive.db")
        decided = [
            (p.number, p.operator, p.model, p.parents, p.tree, p.decision)
            for p in archive.proposals()
        ]
        seen.append(
            (decided, sorted((note.number, note.text) for note in archive.notes()))
        )
        archive.close()
    assert seen[0] == seen[1]
    assert {number for number, _ in seen[0][1]} >= {7, -7}, (
        "statistics, and a model's words for them"
    )
