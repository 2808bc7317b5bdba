"""Agents that improve themselves, over the command line: a real sandbox, a scripted model over HTTP."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.archive import ArchiveReader, Call, CallState, State
from evolve.models import place_of
from tests.agent_model import AgentModel, answer, edit, has_written, serving_agents
from tests.cli import EVOLVE, evolve
from tests.conftest import ROOT
from tests.crash.test_kill import assert_one_tree, assert_stores_clean

TOY = ROOT / "tests" / "tasks" / "toy_agents"


@pytest.fixture
def model() -> Iterator[AgentModel]:
    with serving_agents() as served:
        yield served


def flags(model: AgentModel, folder: Path, place: str = "bubblewrap") -> list[str]:
    return ["--model", model.model, "--runs-dir", str(folder), "--sandbox", place]


def calls_of(run: Path) -> list[Call]:
    archive = ArchiveReader.open(run / "archive.db")
    try:
        return archive.calls()
    finally:
        archive.close()


def assert_paid_once(
    run: Path, model: AgentModel, kills: int = 0, at_once: int = 4
) -> None:
    """Every reply of a place is there once, and no more calls were lost than were under way."""
    calls = calls_of(run)
    replied = [call for call in calls if call.state is CallState.REPLIED]
    places = [(call.proposal, place_of(call) or call.purpose) for call in replied]
    assert len(set(places)) == len(places)
    assert not [call for call in calls if call.state is CallState.SENT]
    lost = [call for call in calls if call.state is CallState.UNCERTAIN]
    assert 0 <= model.calls - len(replied) <= len(lost) <= kills * at_once


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow]),
        "bubblewrap",
    ],
)
def test_agents_improve_themselves(
    tmp_path: Path, model: AgentModel, place: str
) -> None:
    done = evolve(
        "run", TOY, "--name", "r", "--max-variants", "4", *flags(model, tmp_path, place)
    )
    assert done.code == 0, done.err
    shown = evolve("tree", "r", "--runs-dir", tmp_path, "--json").json()
    assert_one_tree(shown)
    scores = {variant["operator"]: variant["score"] for variant in shown}
    assert scores["seed"] == pytest.approx(2 / 6)
    best = evolve("best", "r", "--runs-dir", tmp_path, "-o", tmp_path / "best")
    assert (
        best.code == 0 and "skill" in (tmp_path / "best/prompts/system.md").read_text()
    )
    assert_paid_once(tmp_path / "r", model)
    assert (tmp_path / "r/task/initial/agent.py").exists()
    assert "held" in (tmp_path / "r/task/cases.json").read_text()
    hidden = [
        call for call in calls_of(tmp_path / "r") if "hidden_check" in call.request
    ]
    assert not hidden
    found = evolve("show", "best", "--run", "r", "--runs-dir", tmp_path)
    assert (
        found.code == 0 and "step 1: call to" in found.out and "steps = 2" in found.out
    )


@pytest.mark.slow
def test_cases_are_worked_on_at_once_by_no_more_than_the_workers(
    tmp_path: Path, model: AgentModel
) -> None:
    model.company, model.latency_s = 3, 0.5
    done = evolve(
        "run",
        TOY,
        "--name",
        "r",
        "--max-variants",
        "1",
        "--workers",
        "3",
        *flags(model, tmp_path),
    )
    assert done.code == 0, done.err
    assert model.most_at_once == 3
    seed = evolve("tree", "r", "--runs-dir", tmp_path, "--json").json()[0]["id"]
    shown = evolve("show", seed, "--run", "r", "--runs-dir", tmp_path, "--json").json()
    assert [row["case"] for row in shown["evaluations"]] == [
        # in order, whoever was first
        "apple",
        "birch",
        "cedar",
        "daisy",
        "elder",
        "fern",
    ]


def test_an_agent_is_scored_alone(tmp_path: Path, model: AgentModel) -> None:
    done = evolve(
        "eval",
        TOY,
        "--sandbox",
        "bubblewrap",
        "--model",
        model.model,
        "--json",
        "--case",
        "apple",
        "--case",
        "fern",
    )
    assert done.code == 0, done.err
    rows = {row["case"]: row for row in done.json()["cases"]}
    assert rows["apple"]["score"] == 1.0 and rows["fern"]["score"] == 0.0
    assert (
        rows["apple"]["metrics"] | {"steps": 2, "usd": 0.0} == rows["apple"]["metrics"]
    )
    assert "I give up" in rows["fern"]["log"]
    alone = evolve("eval", TOY, "--sandbox", "bubblewrap")
    assert (
        alone.code == 2 and "need a model" in alone.err and "Traceback" not in alone.err
    )


def broken(files: dict[str, str], folder: Path) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        pytest.param(
            "raise SystemExit(0)", "can't be imported", marks=pytest.mark.slow
        ),
        ("import nothing_like_it", "can't be imported"),
        (
            "if __name__ == '__main__': pass",
            "can't change a toy repository: greeting.txt holds 'hello",
        ),
        pytest.param(
            "if __name__ == '__main__': raise ValueError(1)",
            "can't change a toy repository: crash",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_no_agent_any_more_fails(
    tmp_path: Path, model: AgentModel, agent: str, said: str
) -> None:
    folder = broken({"agent.py": agent}, tmp_path / "agent")
    done = evolve(
        "eval", TOY, folder, "--sandbox", "bubblewrap", "--model", model.model
    )
    assert done.code == 1 and said in done.out, done.out + done.err


def breaks_at_first(messages: list[dict[str, str]], seed: int) -> str:
    """An editor that makes an agent that is none, until it is told so."""
    text = "\n".join(message["content"] for message in messages)
    if (
        "Change them as the issue below asks" in text
        and "was turned away" not in text
        and (not has_written(messages))
    ):
        return edit("agent.py", "", "import nothing_like_it\n")
    return answer(messages, seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_replay_ends_where_the_calls_of_its_run_ended(tmp_path: Path) -> None:
    """In an edit, in a repair, in a second answer: each number of calls is another place."""
    with serving_agents(AgentModel(breaks_at_first)) as model:
        for calls in (16, 25, 32, 38):
            run, name = f"r{calls}", ("--runs-dir", tmp_path)
            done = evolve(
                "run",
                TOY,
                "--name",
                run,
                "--max-variants",
                "3",
                "--max-calls",
                calls,
                *flags(model, tmp_path),
            )
            assert done.code == 0, done.err
            again = evolve("replay", run, *name, "--sandbox", "bubblewrap")
            assert again.code == 0 and "0 differences" in again.err, again.err


@pytest.mark.slow
def test_a_child_that_is_no_agent_is_repaired_once(tmp_path: Path) -> None:
    with serving_agents(AgentModel(breaks_at_first)) as model:
        done = evolve(
            "run", TOY, "--name", "r", "--max-variants", "2", *flags(model, tmp_path)
        )
        assert done.code == 0, done.err
        assert_paid_once(tmp_path / "r", model)
    archive = ArchiveReader.open(tmp_path / "r/archive.db")
    scored = [p for p in archive.proposals([State.SCORED]) if p.number > 0]
    repaired = [
        p for p in scored if len({row.attempt for row in archive.evaluations(p.id)}) > 1
    ]
    # the same broken tree is a duplicate the second time
    assert len(scored) == 2 and repaired
    for proposal in repaired:
        rows = archive.evaluations(proposal.id)
        assert [(row.attempt, row.reason) for row in rows[:2]] == [
            (0, "invalid"),
            (1, None),
        ]
        assert "nothing_like_it" in rows[0].message
        purposes = {
            place[:2]
            for call in archive.calls(proposal.id)
            if (place := place_of(call))
        }
        assert {
            ("edit", 0),
            ("edit", 2),
            ("toy", 2),
            (f"case {rows[1].case}", 1),
        } <= purposes
    archive.close()


@pytest.mark.slow
def test_a_run_without_money_stops_and_goes_on(
    tmp_path: Path, model: AgentModel
) -> None:
    """The end of the budget is no score: not while the seed is scored, not in the search."""
    price = ["--price", f"{model.model}=10/10"]
    done = evolve(
        "run",
        TOY,
        "--name",
        "r",
        "--max-variants",
        "2",
        "--budget",
        "0.065usd",
        *price,
        *flags(model, tmp_path),
    )
    assert done.code == 1 and "before the seed was scored" in done.err, done.err
    assert "Traceback" not in done.err
    more = evolve("resume", "r", "--runs-dir", tmp_path, "--budget", "0.095usd")
    assert more.code == 0 and "stopped: budget_usd" in more.err, more.err
    on = evolve("resume", "r", "--runs-dir", tmp_path, "--budget", "+50usd")
    assert on.code == 0 and "max_variants = 2 is reached" in on.err, on.err
    assert_paid_once(tmp_path / "r", model)


def test_the_scripted_model_is_no_model_for_agents(
    tmp_path: Path, own_sandbox: None
) -> None:
    scripted = (
        "--model",
        "hosted_vllm/scripted@http://127.0.0.1:9/v1",
        "--runs-dir",
        tmp_path,
    )
    for verb in (("run", TOY), ("eval", TOY)):
        done = (
            evolve(*verb, *scripted)
            if verb[0] == "run"
            else evolve(*verb, *scripted[:2])
        )
        assert done.code == 2 and "can't play an agent" in done.err, done.err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_asks_nobody(tmp_path: Path, model: AgentModel) -> None:
    done = evolve("run", TOY, "--dry-run", *flags(model, tmp_path))
    assert done.code == 0 and model.calls == 0, done.err
    # the first question is the seed's on the toy repository
    assert "greeting.txt" in done.out


# dgm is killed in tests/agents/test_world_run.py
@pytest.mark.parametrize("policy", ["hgm"])
@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_and_resumed(tmp_path: Path, policy: str) -> None:
    """kill -9 at random moments: no step is paid twice, every row is there once."""
    chance = random.Random(policy)
    with serving_agents(AgentModel(answer, latency_s=0.3)) as model:
        limit = ["--max-variants", "6", "--runs-dir", str(tmp_path)]
        first = [
            EVOLVE,
            "run",
            str(TOY),
            "--name",
            "r",
            "--policy",
            policy,
            *limit,
            "--model",
            model.model,
            "--sandbox",
            "docker",
        ]
        kills = 0
        # A quick machine is done before the sixth kill, and a resumed end can't be killed.
        while kills < 6 and _killed(
            [EVOLVE, "resume", "r", *limit] if (tmp_path / "r").exists() else first,
            chance,
        ):
            kills += 1
        assert kills >= 2
        done = evolve("resume", "r", *limit)
        assert done.code == 0, done.err
        assert_paid_once(tmp_path / "r", model, kills, at_once=8)
    assert_stores_clean(tmp_path / "r")
    archive = ArchiveReader.open(tmp_path / "r" / "archive.db")
    rows = [
        (p.id, row.case, row.attempt)
        for p in archive.proposals()
        for row in archive.evaluations(p.id)
    ]
    assert len(set(rows)) == len(rows)
    archive.close()


def _killed(command: list[str], chance: random.Random) -> bool:
    """Let it work for a while, then kill it; False when it was done before."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(chance.uniform(2.5, 6.0))
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
