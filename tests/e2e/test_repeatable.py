"""Repeatable by construction: the same replies make the same run, whoever is fast and whatever dies."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import ArchiveReader, CallPurpose, CallState, State
from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.crash.test_kill import kill_at_random

pytestmark = pytest.mark.docker
Start = Callable[..., ScriptedServer]
VARIANTS, OF_NOISE, LIVE = 60, 30, 24


def tree(folder: Path, run: str) -> tuple[str, list[tuple[Any, ...]]]:
    """`evolve tree --json` to the byte, and every proposal with its fate."""
    done = evolve("tree", run, "--json", "--runs-dir", folder)
    assert done.code == 0, done.err
    reader = ArchiveReader.open(folder / run / "archive.db")
    fates = [
        (p.number, p.id, p.state, p.reason, p.tree, p.parents)
        for p in reader.proposals()
    ]
    reader.close()
    return done.out, fates


def options(
    server: ScriptedServer, *more: str | int, variants: int = VARIANTS
) -> list[str]:
    return [
        "--model",
        server.model,
        "--max-variants",
        str(variants),
        "--sandbox",
        "docker",
        "--seed",
        "5",
        "--json",
        *map(str, more),
    ]


@pytest.mark.slow
def test_a_window_makes_runs_of_any_number_of_workers_equal(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted("--bad-rate", 0.2, "--latency", 0.1, "--spread", 1)
    trees = []
    for workers in (1, 2, 8):
        done = evolve(
            "run",
            tasks / "cap_set",
            "--name",
            f"w{workers}",
            "--runs-dir",
            tmp_path,
            *options(server, "--window", 8, "--workers", workers),
        )
        assert done.code == 0, done.err
        trees.append(tree(tmp_path, f"w{workers}"))
    assert trees[0] == trees[1] == trees[2]
    states = [fate[2] for fate in trees[0][1][1:]]
    assert states.count(State.SCORED) + states.count(State.FAILED) == VARIANTS
    assert State.REJECTED in states, "rejections are part of it"


@pytest.mark.parametrize(("sign", "least"), [(signal.SIGKILL, 3), (signal.SIGINT, 2)])
@pytest.mark.slow
def test_a_windowed_run_is_the_same_however_often_it_is_stopped(
    tmp_path: Path, tasks: Path, scripted: Start, sign: signal.Signals, least: int
) -> None:
    server = scripted("--bad-rate", 0.2, "--latency", 0.1, "--spread", 1)
    wanted = options(server, "--window", 8)
    done = evolve(
        "run", tasks / "cap_set", "--name", "whole", "--runs-dir", tmp_path, *wanted
    )
    assert done.code == 0, done.err
    killed_often(tmp_path, tasks / "cap_set", wanted, VARIANTS, sign, least)
    assert tree(tmp_path, "r") == tree(tmp_path, "whole")


def killed_often(
    folder: Path,
    task: Path,
    wanted: list[str],
    variants: int,
    sign: signal.Signals = signal.SIGKILL,
    least: int = 3,
) -> None:
    """A run `r` that is killed up to ten times, then resumed to its end."""
    first = [
        EVOLVE,
        "run",
        str(task),
        "--name",
        "r",
        "--runs-dir",
        str(folder),
        *wanted,
    ]
    again = [EVOLVE, "resume", "r", "--runs-dir", str(folder), "--json"]
    chance, kills = random.Random(3), 0
    while kills < 10:
        kills += kill_at_random(
            again if (folder / "r").exists() else first, chance, sign
        )
        if (folder / "r").exists() and evolve(
            "status", "r", "--runs-dir", folder, "--json"
        ).json()["variants"] == variants:
            break
    assert kills >= least
    done = evolve("resume", "r", "--runs-dir", folder, "--json")
    assert done.code == 0, done.err


def asked(folder: Path, run: str) -> dict[tuple[int, CallPurpose], list[str]]:
    """Every request to a model that was answered, by the number of its decision and its purpose."""
    reader = ArchiveReader.open(folder / run / "archive.db")
    numbers = {proposal.id: proposal.number for proposal in reader.proposals()}
    found: dict[tuple[int, CallPurpose], list[str]] = {}
    for call in reader.calls():
        if call.state is CallState.REPLIED:
            found.setdefault((numbers[call.proposal], call.purpose), []).append(
                call.request
            )
    reader.close()
    # cases come in any order
    return {place: sorted(requests) for place, requests in found.items()}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_prompt_shows_what_its_decision_knew_of_a_noisy_task(
    tmp_path: Path, noisy_task: Path, scripted: Start
) -> None:
    """Parents are evaluated again all the time, and many prompts are written late: repairs of programs
    that failed, and whatever was decided before a kill."""
    server = scripted("--bad-rate", 0.2, "--latency", 0.1, "--spread", 1)
    wanted = options(server, "--window", 8, variants=OF_NOISE)
    for workers in (1, 8):
        done = evolve(
            "run",
            noisy_task,
            "--name",
            f"w{workers}",
            "--runs-dir",
            tmp_path,
            *wanted,
            "--workers",
            workers,
        )
        assert done.code == 0, done.err
    killed_often(tmp_path, noisy_task, wanted, OF_NOISE)
    for other in ("w8", "r"):
        assert asked(tmp_path, other) == asked(tmp_path, "w1"), other
        assert tree(tmp_path, other) == tree(tmp_path, "w1"), other
    states = [fate[2] for fate in tree(tmp_path, "w1")[1]]
    assert states.count(State.EVALUATED) > OF_NOISE, (
        "noise asks for more evaluations than variants"
    )
    assert any(purpose is CallPurpose.REPAIR for _, purpose in asked(tmp_path, "w1")), (
        "repairs are part of it"
    )


@pytest.mark.slow
def test_a_live_run_is_repeated_by_its_replay(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted("--bad-rate", 0.2, "--latency", 0.2, "--spread", 1)
    done = evolve(
        "run",
        tasks / "cap_set",
        "--name",
        "live",
        "--runs-dir",
        tmp_path,
        *options(server, "--window", 0, "--workers", 8, variants=LIVE),
    )
    assert done.code == 0, done.err
    server.stop()
    for workers in (1, 4):
        again = evolve(
            "replay",
            "live",
            "--name",
            f"again{workers}",
            "--workers",
            workers,
            "--runs-dir",
            tmp_path,
        )
        assert again.code == 0 and "0 differences" in again.err, again.err
        assert tree(tmp_path, f"again{workers}") == tree(tmp_path, "live")
