"""`evolve verify` and `evolve compare`, through the real command line."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import ArchiveReader
from tests.cli import evolve

EVALUATE = """
def evaluate(candidate, case):
    return float(candidate.call("number")) * case.params["times"]
"""
TOML = """
name = "numbers"
description = "A large number."
[[cases]]
id = "once"
params = { times = 1 }
[[cases]]
id = "thrice"
split = "heldout"
params = { times = 3 }
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in their seed alone."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "task" / "initial").mkdir(parents=True)
    (folder / "task" / "initial" / "program.py").write_text(
        "def number():\n    return 2.5 + 1.25\n"
    )
    (folder / "task" / "evaluate.py").write_text(EVALUATE)
    (folder / "task" / "task.toml").write_text(TOML)
    for name, seed in (("one", 1), ("two", 2)):
        done = evolve(
            "run",
            folder / "task",
            "--name",
            name,
            "--seed",
            str(seed),
            "--runs-dir",
            folder / "runs",
            "--max-variants",
            "12",
            "--sandbox",
            "local",
        )
        assert done.code == 0, done.err
    return folder / "runs"


def test_the_best_is_scored_again_on_every_case(runs: Path) -> None:
    best = evolve("best", "one", "--runs-dir", runs, "--json").json()
    done = evolve("verify", "one", "--runs-dir", runs, "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert found["id"] == best["id"] and found["holds"] is True
    once, thrice = found["cases"]
    assert (once["recorded"], once["score"]) == (best["score"], best["score"])
    assert thrice["recorded"] is None and thrice["score"] == pytest.approx(
        3 * best["score"]
    )
    shown = evolve("verify", "one", "--runs-dir", runs)
    assert "as recorded" in shown.out and "2 of 2 cases hold" in shown.out


def test_a_score_that_does_not_hold_is_said(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "two", tmp_path / "two")
    database = sqlite3.connect(run / "archive.db")
    with database:
        database.execute("update evaluations set score = score * 1.01")
    database.close()
    done = evolve("verify", run)
    assert (
        done.code == 1 and "recorded: " in done.out and "1 of 2 cases hold" in done.out
    )
    assert evolve("verify", run, "--tolerance", "0.02").code == 0


def test_another_evaluator_says_nothing_about_the_record(
    runs: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(runs / "one", tmp_path / "one")
    with (run / "task" / "evaluate.py").open("a") as file:
        file.write("# changed\n")
    done = evolve("verify", run)
    assert (
        done.code != 0
        and "another evaluator" in done.err
        and "Traceback" not in done.err
    )


def test_runs_that_differ_in_their_seed_are_one_row(runs: Path, tmp_path: Path) -> None:
    done = evolve("compare", "one", "two", "--runs-dir", runs, "--json")
    assert done.code == 0, done.err
    (row,) = done.json()
    assert sorted(row["runs"]) == ["one", "two"] and row["effort"] == 12.0
    assert row["spread"] is not None
    mine = shutil.copytree(runs, tmp_path / "runs")
    shutil.copytree(mine / "one", mine / "one-again")
    (row,) = evolve("compare", "one", "one-again", "--runs-dir", mine, "--json").json()
    assert row["seeds"] == 1 and row["spread"] is None  # no independent draws
    best = evolve("best", "one", "--runs-dir", mine, "--json").json()
    assert row["mean"] == best["score"]
    shutil.rmtree(mine / "one-again")
    assert evolve("replay", "two", "--name", "two-again", "--runs-dir", mine).code == 0
    shown = evolve("compare", "--runs-dir", mine)
    assert "two-again" not in shown.out  # a replay says nothing new
    assert (
        "numbers · map_elites · no model" in shown.out
        and "after 12 variants" in shown.err
    )
    wrong = evolve("compare", "one", "two", "--by", "dollar", "--runs-dir", runs)
    assert wrong.code == 2 and "dollars" in wrong.err


def test_best_says_which_command_scores_a_drawn_case_alike(
    runs: Path, tmp_path: Path
) -> None:
    done = evolve("best", "one", "-o", tmp_path / "the best", "--runs-dir", runs)
    again, drawn = done.out.splitlines()[-2:]
    assert again.startswith("score it again: evolve eval ")
    assert again.endswith(f" '{tmp_path}/the best'")
    assert "cases that use case.seed differ" in drawn and drawn.endswith(
        " evolve verify one"
    )


def test_a_pipe_gets_whole_rows(runs: Path) -> None:
    """However long a model's or a run's name is, a line that grep finds has all of it."""
    run = shutil.copytree(
        runs / "one", runs.parent / "long" / "a-run-with-a-name-of-many-words"
    )
    toml = run / "run.toml"
    toml.write_text(toml.read_text().replace("model = []", f'model = ["{"m" * 90}"]'))
    best = evolve("best", run, "--json").json()["score"]
    listed = evolve("ls", "--runs-dir", run.parent)
    (line,) = listed.out.splitlines()[1:]
    assert line.split()[0] == run.name and repr(best) in line
    compared = evolve("compare", run, runs / "two")
    assert [
        line
        for line in compared.out.splitlines()
        if "m" * 90 in line and run.name in line
    ]


def looks(run: Path) -> list[dict[str, Any]]:
    """What is on record of looks at the held-out cases."""
    archive = ArchiveReader.open(run / "archive.db")
    found = [
        dict(event.data)
        for event in archive.events()
        if event.kind == "looked at heldout"
    ]
    archive.close()
    return found


def test_no_look_is_recorded_where_there_is_no_sandbox(
    runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "two", run := tmp_path / "r")
    before = looks(run)  # of the other tests of this file, which come in any order
    for name in ("mine.box:Mine", "bubblewrp"):
        done = evolve("verify", run, "--sandbox", name)
        assert done.code in (2, 3) and "Traceback" not in done.err, done.err
        assert looks(run) == before and "it is recorded" not in done.err


def test_a_look_at_the_held_out_cases_is_recorded_once(
    runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "one", run := tmp_path / "r")
    best, other = (
        evolve("best", run, "--json").json()["id"],
        evolve("tree", run, "--json").json()[0]["id"],
    )
    without = evolve("verify", run, "--no-heldout", "--json")
    assert [case["case"] for case in without.json()["cases"]] == ["once"]
    before = looks(run)
    first = evolve("verify", run)
    assert first.code == 0 and len(looks(run)) == max(1, len(before)), first.err
    assert looks(run)[-1] == {"champion": best, "again": False, "by": "verify"}
    same = evolve("verify", run)
    assert same.code == 0 and "it is recorded" not in same.err and len(looks(run)) == 1
    refused = evolve("verify", run, "--id", other)
    assert refused.code == 2 and f"looked at for {best} already" in refused.err
    assert "--no-heldout" in refused.err and refused.out == "" and len(looks(run)) == 1
    again = evolve("verify", run, "--id", other, "--again")
    assert again.code == 0 and "it is recorded" in again.err, again.err
    assert looks(run)[-1] == {"champion": other, "again": True, "by": "verify"}
