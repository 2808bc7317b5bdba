"""A scorer that grows with what a candidate answers: that candidate fails, the next one is scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from evolve.evaluation import memory
from evolve.tasks import load_task
from tests.cli import evolve
from tests.judging import Judge
from tests.peers import FOLDER

EVALUATE = """
KEPT = []
def evaluate(candidate, case):
    size, kept = candidate.call("size")
    filled = b"x" * size
    KEPT.append(b"x" * kept)
    return 1.0 - 1.0 / len(filled)
"""
TOML = 'name = "t"\ndescription = "d"\n[limits]\nscorer_memory_mb = 160\n'
MB = 1_000_000


def program(size: int, kept: int = 0) -> str:
    return f"def size():\n    return {size}, {kept}\n"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "task"
    (folder / "initial").mkdir(parents=True)
    (folder / "evaluate.py").write_text(EVALUATE)
    (folder / "task.toml").write_text(TOML)
    (folder / "initial" / "program.py").write_text(program(4))
    return folder


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Judge]:
    with Judge("bubblewrap", tmp_path / "log") as judging:
        yield judging


def test_a_huge_answer_is_its_candidates_failure(task: Path, judge: Judge) -> None:
    assert judge(task).score == 0.75
    full = judge(task, program(400 * MB))
    assert (
        full.score is None
        and full.reason == "memory"
        and "scorer_memory_mb" in full.message
    ), full
    absurd = judge(task, program(10**15))
    assert (
        absurd.score is None
        and absurd.reason == "memory"
        and "MemoryError" in absurd.message
    )
    assert judge(task, program(2)).score == 0.5


def test_what_a_scorer_keeps_is_no_candidates_failure(task: Path, judge: Judge) -> None:
    # more than fits into one process
    rows = [judge(task, program(4, 40 * MB)) for _ in range(6)]
    assert [row.score for row in rows] == [0.75] * 6, rows


def test_what_it_writes_is_memory_too(task: Path, judge: Judge) -> None:
    (task / "evaluate.py").write_text("""
def evaluate(candidate, case):
    size, _ = candidate.call("size")
    for place in ("/tmp", "/var/tmp", "/run", "/home", "/root", "/dev/shm", "/dev", "."):
        try:
            with open(f"{place}/filled", "wb") as file:
                for _ in range(size):
                    file.write(b"x" * 1_000_000)
        except OSError:
            continue
        return 1.0
    return 0.5
""")
    assert judge(task, program(1)).score == 1.0
    assert judge(task, program(200)).score == 0.5


def test_a_seed_that_needs_more_is_told_with_the_key(
    task: Path, tmp_path: Path
) -> None:
    (task / "initial" / "program.py").write_text(program(400 * MB))
    done = evolve(
        "run",
        task,
        "--sandbox",
        "bubblewrap",
        "--max-variants",
        "2",
        "--runs-dir",
        tmp_path / "runs",
    )
    told = " ".join(done.err.split())
    assert (
        done.code == 2 and "(memory)" in told and "limits.scorer_memory_mb" in told
    ), done.err
    assert "Traceback" not in done.err


def test_a_run_goes_on_after_it(task: Path, tmp_path: Path) -> None:
    (task / "initial" / "program.py").write_text(
        "def size():\n    return 60 * 1000 ** 2, 0\n"
    )
    # One at a time, from a seed: the same sixteen programs, whatever machine this is.
    done = evolve(
        "run",
        task,
        "--sandbox",
        "bubblewrap",
        "--max-variants",
        "16",
        "--name",
        "r",
        "--window",
        "1",
        "--seed",
        "1",
        "--runs-dir",
        tmp_path,
    )
    assert done.code == 0, done.err
    rows = evolve("tree", "r", "--json", "--runs-dir", tmp_path).json()
    too_large = [row["id"] for row in rows if row["reason"] == "memory"]
    scored = [row["id"] for row in rows if row["score"] is not None]
    assert too_large and len(scored) > 3, rows
    assert max(scored) > min(too_large), rows


@pytest.mark.slow
def test_a_peers_evaluator_is_watched_as_well(tmp_path: Path, judge: Judge) -> None:
    mine = tmp_path / "mine"
    assert evolve("import", FOLDER / "openevolve_trusting", "-o", mine).code == 0
    text = (mine / "task.toml").read_text()
    (mine / "task.toml").write_text(
        text.replace("[limits]\n", "[limits]\nscorer_memory_mb = 300\n")
    )
    sized = 'HOW = "sized"\ndef run(): return {}\n'
    assert judge(mine, sized.format(1000)).score == 1000
    for size in (10**8, 10**15):  # more than the limit, more than any machine has
        row = judge(mine, sized.format(size))
        assert row.score is None and row.reason == "memory", row


def test_the_default_is_half_of_what_is_there(task: Path) -> None:
    (task / "task.toml").write_text('name = "t"\ndescription = "d"\n')
    half = memory.machine_memory() // 2
    assert (
        memory.memory_limit(load_task(task)) == half
        and half < psutil.virtual_memory().total
    )
