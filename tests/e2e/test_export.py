"""Runs as files for others, and the verbs that look at them, through the real command line."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

import pytest

from evolve.archive import derive_id
from tests.cli import evolve, evolve_process
from tests.made_runs import HOSTILE, Made, make_run, make_task


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "runs"
    make_run(folder, "made", Made(60, seed=2, hostile=True, cases=3))
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [
            "git",
            "-C",
            str(folder),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_command_without_a_run_says_whose_it_shows(runs: Path) -> None:
    for words in (("show",), ("show", "--bandit"), ("best",)):
        assert evolve(*words, "--runs-dir", runs).err == "run made\n"
        assert evolve(*words, "--runs-dir", runs, "--json").err == ""
    assert evolve("best", "made", "--runs-dir", runs).err == ""
    assert evolve("status", "--runs-dir", runs).out.startswith("made on numbers: ")


def test_tables(runs: Path, tmp_path: Path) -> None:
    done = evolve(
        "export",
        "made",
        "--runs-dir",
        runs,
        "--csv",
        tmp_path / "a.csv",
        "--jsonl",
        tmp_path / "a.jsonl",
    )
    assert done.code == 0, done.err
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [
        json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()
    ]
    assert len(rows) == len(lines) == 61
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert HOSTILE in lines[5]["calls"][0]["reply"]
    assert float(rows[0]["score"]) == lines[0]["score"]


def test_the_way_to_the_best_is_a_branch(runs: Path, tmp_path: Path) -> None:
    done = evolve("export", "made", "--runs-dir", runs, "--git", tmp_path / "out")
    assert done.code == 0, done.err
    path = evolve("tree", "made", "--runs-dir", runs, "--path", "best", "--json").json()
    assert path
    count = int(git(tmp_path / "out", "rev-list", "--count", "best"))
    assert count >= 2 and not git(tmp_path / "out", "status", "--porcelain")
    seed = git(tmp_path / "out", "rev-list", "--max-parents=0", "best").strip()
    git(tmp_path / "out", "checkout", "-q", seed)
    git(tmp_path / "out", "apply", "best.patch")
    assert git(tmp_path / "out", "diff", "best") == ""
    again = evolve("export", "made", "--runs-dir", runs, "--git", tmp_path / "out")
    assert again.code == 2 and "not empty" in again.err


def test_pairs_for_training(runs: Path, tmp_path: Path) -> None:
    sft = evolve("export", "made", "--runs-dir", runs, "--training", "sft")
    rows = [json.loads(line) for line in sft.out.splitlines()]
    assert rows and all(row["gain"] > 0 for row in rows)
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    dpo = evolve(
        "export",
        "made",
        "--runs-dir",
        runs,
        "--training",
        "dpo",
        "-o",
        tmp_path / "dpo",
    )
    assert dpo.code == 0
    for line in (tmp_path / "dpo").read_text().splitlines():
        pair = json.loads(line)
        assert pair["gain"] > 0 and pair["id"] != pair["rejected_id"]
        assert pair["rejected_gain"] is None or pair["gain"] > pair["rejected_gain"]
    assert evolve("export", "made", "--runs-dir", runs, "--training", "x").code == 2


def test_calls_that_write_no_child_are_shown_and_no_training(tmp_path: Path) -> None:
    """Embeddings, judges and notes."""
    make_run(tmp_path / "runs", "made", Made(40, seed=2, rounds=True))
    make_run(tmp_path / "runs", "plain", Made(40, seed=2))
    for form in ("sft", "dpo"):
        found, plain = (
            evolve("export", name, "--training", form, cwd=tmp_path)
            for name in ("made", "plain")
        )
        assert found.code == 0 and found.out == plain.out and found.out
    child = evolve("tree", "made", "--json", cwd=tmp_path).json()[-1]["id"]
    for which, words in (
        ("seed", ["embed", "notes"]),
        (child, ["embed", "judge", "propose"]),
    ):
        shown = evolve("show", which, "--run", "made", cwd=tmp_path).out
        assert (
            sorted(re.findall(r"^(\w+) call to \S+: replied", shown, re.MULTILINE))
            == words
        )


def test_a_report(runs: Path, tmp_path: Path) -> None:
    done = evolve("export", "made", "--runs-dir", runs, "--report", tmp_path / "r")
    assert done.code == 0, done.err
    text = (tmp_path / "r" / "report.md").read_text()
    best = evolve("best", "made", "--runs-dir", runs, "--json").json()
    assert repr(best["score"]) in text and best["id"] in text
    outside = text.split("```")[::2]
    assert not any("<script>" in part for part in outside)
    for name in ("variants.svg", "cost.svg", "time.svg"):
        assert (tmp_path / "r" / name).read_text().startswith("<?xml")


def test_without_matplotlib_only_pictures_are_missing(
    runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(
        "import sys\nsys.modules['matplotlib'] = None\n"
    )
    without = {"PYTHONPATH": str(tmp_path / "hide")}
    table, report = tmp_path / "t.csv", tmp_path / "r"
    words = ("export", "made", "--csv", table, "--report", report, "--runs-dir", runs)
    done = evolve_process(*words, env=without)
    assert done.code == 0 and "without pictures" in done.err, done.err
    assert "[plot]" in done.err, "the extra is named"
    assert table.is_file() and ".svg" not in (report / "report.md").read_text()
    picture = ("plot", "made", "-o", tmp_path / "p.png", "--runs-dir", runs)
    done = evolve_process(*picture, env=without)
    assert done.code == 3 and "[plot]" in done.err, done.err


def test_no_file_is_written_over(runs: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("mine\n")
    words = ("export", "made", "--runs-dir", runs, "--csv", table)
    done = evolve(*words)
    assert done.code == 2 and "--force" in done.err and table.read_text() == "mine\n"
    assert evolve(*words, "--force").code == 0 and table.read_text() != "mine\n"
    for folder in ("/", tmp_path, "."):
        for form in ("--csv", "--jsonl", "--html"):
            done = evolve("export", "made", "--runs-dir", runs, form, folder)
            assert done.code == 2 and "is a folder" in done.err, done.err


def test_plots(runs: Path, tmp_path: Path) -> None:
    shown = evolve("plot", "made", "--runs-dir", runs, "--over", "cost")
    assert shown.code == 0 and "dollars" in shown.out
    first, *_, last = (line.split() for line in shown.out.splitlines()[2:])
    assert float(first[1]) < float(last[1]) and last[2].startswith("+")
    for name, start in (("p.png", b"\x89PNG"), ("p.svg", b"<?xml"), ("p.pdf", b"%PDF")):
        assert (
            evolve("plot", "made", "--runs-dir", runs, "-o", tmp_path / name).code == 0
        )
        assert (tmp_path / name).read_bytes().startswith(start)
    assert (
        evolve("plot", "made", "--runs-dir", runs, "-o", tmp_path / "p.gif").code == 2
    )
    assert evolve("plot", "made", "--runs-dir", runs, "--over", "moon").code == 2


def test_log_stats_and_settings(runs: Path, tmp_path: Path) -> None:
    log = evolve("log", "made", "--runs-dir", runs, "--json").events()
    assert sum(event["event"] == "finished" for event in log) == 61
    assert [e["id"] for e in log] == sorted(e["id"] for e in log)
    assert len(evolve("log", "made", "--runs-dir", runs, "-n", 4).out.splitlines()) == 4
    stats = evolve("stats", "made", "--runs-dir", runs, "--json").json()
    assert stats["spend"]["calls"] == 60 and 0 < stats["grid"]["coverage"] <= 1
    shown = evolve(
        "config", "show", "--json", env={"EVOLVE_WORKERS": "7"}, cwd=tmp_path
    ).json()
    assert shown["workers"] == {"value": 7, "origin": "environment"}
    assert shown["policy"]["origin"] == "default"
    assert (
        "(environment)"
        in evolve("config", "show", "--origin", env={"EVOLVE_WORKERS": "7"}).out
    )


def test_rm_deletes_what_is_named_and_no_more(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_run(tmp_path / "runs", name, Made(3))
    assert evolve("rm", "last", "--yes", cwd=tmp_path).code == 2
    refused = evolve("rm", "nobody", "--yes", cwd=tmp_path)
    assert refused.code == 2
    assert evolve("rm", "one", "--yes", cwd=tmp_path).code == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["two"]


def test_apply_makes_a_branch_and_touches_nothing(runs: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    make_task(mine / "work" / "task")
    (mine / "note.txt").write_text("mine\n")
    git(mine, "init", "-q")
    git(mine, "config", "user.name", "a")  # whoever applies it is its author
    git(mine, "config", "user.email", "a@b")
    git(mine, "add", ".")
    git(mine, "commit", "-qm", "first")
    (mine / "note.txt").write_text("changed and not committed\n")
    seed = evolve(
        "checkout", "seed", tmp_path / "seed", "--run", "made", "--runs-dir", runs
    )
    assert seed.code == 0, seed.err
    (mine / "work" / "task" / "initial" / "program.py").write_bytes(
        (tmp_path / "seed" / "program.py").read_bytes()
    )
    git(mine, "commit", "-qm", "the seed", "work")
    done = evolve(
        "apply", "best", "--run", "made", "--runs-dir", runs, "-C", mine, "--json"
    )
    assert done.code == 0, done.err
    assert done.json()["folder"] == "work/task/initial"
    branch = done.json()["branch"]
    evolve("checkout", "best", tmp_path / "best", "--run", "made", "--runs-dir", runs)
    shown = git(mine, "show", f"{branch}:work/task/initial/program.py")
    assert shown == (tmp_path / "best" / "program.py").read_text()
    assert git(mine, "diff", "--stat", "HEAD", branch).count("|") == 1
    rows = evolve("tree", "made", "--runs-dir", runs, "--json").json()
    best = evolve("best", "made", "--runs-dir", runs, "--json").json()
    subject = git(mine, "log", "-1", "--format=%s", branch).strip()
    before, _, after = subject.rpartition(": score ")[2].partition(" -> ")
    assert (float(before), float(after)) == (
        pytest.approx(rows[0]["score"]),
        pytest.approx(best["score"]),
    )
    assert (mine / "note.txt").read_text() == "changed and not committed\n"
    again = evolve("apply", "best", "--run", "made", "--runs-dir", runs, "-C", mine)
    assert again.code == 2 and "already" in again.err
    for wrong in ("../x", ".git/hooks"):
        assert (
            evolve(
                "apply",
                "best",
                "--run",
                "made",
                "--runs-dir",
                runs,
                "-C",
                mine,
                "--to",
                wrong,
                "--branch",
                "b",
            ).code
            == 2
        )


def test_diff_stat_and_any_two(runs: Path) -> None:
    stat = evolve("diff", "best", "seed", "--run", "made", "--runs-dir", runs, "--stat")
    assert stat.code == 0 and "1 file changed" in stat.out
    data = evolve(
        "diff", "seed", "best", "--run", "made", "--runs-dir", runs, "--json"
    ).json()
    assert data["new"] == derive_id(2, 0) and data["files"][0]["path"] == "program.py"
