"""Policies through the real command line: seeded runs of shipped tasks, decided evaluations."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import ArchiveReader, Snapshot, State
from evolve.runs.folder import open_run
from evolve.search import POLICIES, make_frame
from tests.cli import EVOLVE, evolve
from tests.crash.test_kill import assert_one_tree, assert_stores_clean, kill_at_random

pytestmark = pytest.mark.docker


def fates(folder: Path, run: str) -> list[tuple[Any, ...]]:
    """Every decision with what became of it."""
    reader = ArchiveReader.open(folder / run / "archive.db")
    found = [
        (p.number, p.operator, p.parents, p.tree, p.state, p.island, p.decision)
        for p in reader.proposals()
    ]
    reader.close()
    return found


EDITS = "operators={syntactic=0.7, recombine=0.3}"  # no tuning of numbers


def options(
    policy: str, variants: int, *more: str | int, sandbox: str = "docker"
) -> list[str]:
    return [
        "--policy",
        policy,
        "--max-variants",
        str(variants),
        "--sandbox",
        sandbox,
        "--seed",
        "4",
        "--window",
        "8",
        "--json",
        *map(str, more),
    ]


def check_run(folder: Path, name: str, variants: int) -> Snapshot:
    """A whole tree of so many variants, a best that is no worse than the seed, clean stores."""
    tree = evolve("tree", name, "--json", "--runs-dir", folder).json()
    assert len(tree) == variants + 1
    assert_one_tree(tree)
    assert_stores_clean(folder / name)
    run = open_run(folder, name)
    reader = ArchiveReader.open(run.database)
    task = run.task()
    snapshot = Snapshot.load(reader, task.spec.maximize, make_frame(task, run.settings))
    reader.close()
    best = snapshot.best()
    assert best is not None
    merits = [snapshot.merit(row) for row in snapshot.trusted.tolist()]
    assert snapshot.merit(snapshot.row_of(best.id)) == max(merits)
    shown = evolve("best", name, "--json", "--runs-dir", folder).json()
    assert shown["id"] == best.id
    return snapshot


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["hgm", "map_elites"])
def test_a_seeded_run_is_the_same_with_any_number_of_workers(
    tmp_path: Path, tasks: Path, policy: str
) -> None:
    for workers in (1, 3):
        done = evolve(
            "run",
            tasks / "bin_packing",
            "--name",
            f"w{workers}",
            "--runs-dir",
            tmp_path,
            *options(policy, 60, "--workers", workers),
            env={"EVOLVE_ISLANDS": "2"},
        )
        assert done.code == 0, done.err
    one, three = fates(tmp_path, "w1"), fates(tmp_path, "w3")
    assert one == three
    decided = [fate for fate in one if fate[6].evaluates]
    assert all(fate[3] is None and fate[4] is State.EVALUATED for fate in decided)
    assert bool(decided) == (policy == "hgm")
    check_run(tmp_path, "w1", 60)
    replayed = evolve("replay", "w1", "--runs-dir", tmp_path)
    assert replayed.code == 0, replayed.err
    assert [fate[:6] for fate in fates(tmp_path, "w1-replay")] == [
        fate[:6] for fate in one
    ]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_evaluations_that_were_decided_survive_kills(
    tmp_path: Path, tasks: Path
) -> None:
    wanted = options("hgm", 50)
    whole = evolve(
        "run", tasks / "bin_packing", "--name", "whole", "--runs-dir", tmp_path, *wanted
    )
    assert whole.code == 0, whole.err
    first = [
        EVOLVE,
        "run",
        str(tasks / "bin_packing"),
        "--name",
        "r",
        "--runs-dir",
        str(tmp_path),
        *wanted,
    ]
    chance, kills = random.Random(5), 0
    for _ in range(6):
        begun = (tmp_path / "r").exists()
        command = (
            [EVOLVE, "resume", "r", "--runs-dir", str(tmp_path), "--json"]
            if begun
            else first
        )
        if not kill_at_random(command, chance):
            break
        kills += 1
    assert kills > 2
    if (tmp_path / "r").exists():
        done = evolve("resume", "r", "--runs-dir", tmp_path)
        assert done.code == 0, done.err
    assert fates(tmp_path, "r") == fates(tmp_path, "whole")
    check_run(tmp_path, "r", 50)


def test_on_a_noisy_task_the_best_is_evaluated_again(
    tmp_path: Path, steps_task: Path
) -> None:
    task = Path(shutil.copytree(steps_task, tmp_path / "task"))
    quick = (
        (task / "initial" / "steps.py")
        .read_text()
        .replace("    time.sleep(0.05)\n", "")
    )
    (task / "initial" / "steps.py").write_text(quick)
    noisy = (
        (task / "evaluate.py")
        .read_text()
        .replace(
            "value / (1.0 + abs(value))",
            "value / (1.0 + abs(value)) + random.gauss(0, 0.05)",
        )
    )
    (task / "evaluate.py").write_text("import random\n\n" + noisy)
    done = evolve(
        "run",
        task,
        "--name",
        "r",
        "--runs-dir",
        tmp_path,
        *options("weighted", 30, sandbox="local"),
        env={"EVOLVE_REPEATS": "5"},
    )
    assert done.code == 0, done.err
    again = [fate for fate in fates(tmp_path, "r") if fate[6].evaluates]
    assert again and max(fate[6].evaluates.attempt for fate in again) == 4
    (row,) = evolve("compare", "r", "--runs-dir", tmp_path, "--json").json()
    shown = evolve("best", "r", "--runs-dir", tmp_path, "--json").json()
    assert row["mean"] == shown["score"], "the curve ends at the best, not at luck"
    snapshot = check_run(tmp_path, "r", 30)
    best = snapshot.best()
    assert (
        best is not None
        and snapshot.case_scores.counts[snapshot.row_of(best.id)].sum() > 1
    )


@pytest.mark.parametrize("mates", ["distant", "complementary", "preference"])
def test_choices_of_mates(tmp_path: Path, tasks: Path, mates: str) -> None:
    done = evolve(
        "run",
        tasks / "bin_packing",
        "--name",
        "r",
        "--runs-dir",
        tmp_path,
        *options("weighted", 25, "--set", EDITS, sandbox="local"),
        env={"EVOLVE_MATES": mates},
    )
    assert done.code == 0, done.err
    crossed = [fate for fate in fates(tmp_path, "r") if fate[1] == "recombine"]
    assert crossed and all(len(fate[2]) == 2 for fate in crossed)
    assert all(bool(fate[6].keep) == (mates == "preference") for fate in crossed)


@pytest.mark.slow
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_three_hundred_variants_of_each_policy(
    tmp_path: Path, tasks: Path, policy: str
) -> None:
    for name in ("a", "b"):
        done = evolve(
            "run",
            tasks / "circle_packing",
            "--name",
            name,
            "--runs-dir",
            tmp_path,
            *options(policy, 300),
        )
        assert done.code == 0, done.err
    assert fates(tmp_path, "a") == fates(tmp_path, "b")
    check_run(tmp_path, "a", 300)


def test_checkout_writes_any_variant(tmp_path: Path, tasks: Path) -> None:
    done = evolve(
        "run",
        tasks / "cap_set",
        "--name",
        "r",
        "--runs-dir",
        tmp_path,
        *options("greedy", 5, sandbox="local"),
    )
    assert done.code == 0, done.err
    last = evolve("tree", "r", "--json", "--runs-dir", tmp_path).json()[-1]["id"]
    for which, folder in (("seed", "out0"), (last[:8], "out1")):
        written = evolve(
            "checkout", which, tmp_path / folder, "--run", "r", "--runs-dir", tmp_path
        )
        assert written.code == 0, written.err
    assert (tmp_path / "out0/capset.py").read_bytes() == (
        tasks / "cap_set/initial/capset.py"
    ).read_bytes()
    assert (tmp_path / "out1/capset.py").read_bytes() != (
        tmp_path / "out0/capset.py"
    ).read_bytes()
    again = evolve(
        "checkout", "seed", tmp_path / "out0", "--run", "r", "--runs-dir", tmp_path
    )
    assert again.code == 2 and "not empty" in again.err


@pytest.mark.slow
def test_what_is_too_near_is_rejected_before_it_costs_an_evaluation(
    tmp_path: Path, tasks: Path
) -> None:
    for workers in (1, 3):
        done = evolve(
            "run",
            tasks / "cap_set",
            "--name",
            f"w{workers}",
            "--runs-dir",
            tmp_path,
            *options("map_elites", 20, "--workers", workers),
            env={"EVOLVE_NOVELTY_GATE": "0.004"},
        )
        assert done.code == 0, done.err
    assert fates(tmp_path, "w1") == fates(tmp_path, "w3")
    reader = ArchiveReader.open(tmp_path / "w1" / "archive.db")
    rejected = [
        p for p in reader.proposals([State.REJECTED]) if p.reason == "not novel"
    ]
    assert rejected and all(
        p.tree is None and not reader.evaluations(p.id) for p in rejected
    )
    reader.close()
