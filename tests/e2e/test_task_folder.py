"""What belongs to a task is copied into a run; what tools, people and runs keep beside it is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.tasks import load_task, task_files
from tests.cli import evolve


@pytest.fixture
def task(tmp_path: Path, steps_task: Path) -> Path:
    return Path(shutil.copytree(steps_task, tmp_path / "task"))


def test_a_run_from_inside_the_task(task: Path) -> None:
    """As people do: `cd my_task; evolve run .`, with keys in .env and an environment beside it."""
    (task / ".env").write_text("OPENAI_API_KEY=secret\n")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(task / "env")], check=True
    )
    (task / "data").mkdir()
    (task / "data" / "points.txt").write_text("1 2 3\n")
    (task / "data" / "up").symlink_to("..")
    (task / "data" / "gone").symlink_to("nowhere")
    (task / "initial" / ".config").write_text("of the program\n")
    (task / "more").mkdir()
    (task / "more" / "x").symlink_to("../data")
    (task / "data" / "y").symlink_to("../more")
    before = load_task(task).evaluator_hash
    for name in ("one", "two"):
        done = evolve(
            "run",
            ".",
            "--sandbox",
            "local",
            "--max-variants",
            2,
            "--name",
            name,
            cwd=task,
        )
        assert done.code == 0, done.err
    resumed = evolve("resume", "two", "--max-variants", 3, cwd=task)
    assert resumed.code == 0 and "has changed" not in resumed.err
    assert load_task(task / "runs" / "two" / "task").seed == load_task(task).seed
    copied = [
        path.relative_to(task / "runs" / "two" / "task").as_posix()
        for path in (task / "runs" / "two" / "task").rglob("*")
        if path.is_file()
    ]
    assert sorted(copied) == [path.as_posix() for path in task_files(task)]
    assert "initial/.config" in copied and len(copied) < 20
    assert "data/points.txt" in copied and "evaluate.py" in copied
    assert not any(
        "secret" in path.read_text(errors="replace")
        for path in (task / "runs").rglob("*")
        if path.is_file()
    )
    assert load_task(task).evaluator_hash == before, "what is no task changes no hash"
    (task / "data" / "points.txt").write_text("1 2 4\n")
    assert load_task(task).evaluator_hash != before


# `scorer`: as tasks did before 0.2
@pytest.mark.parametrize("home", ["evolve", "scorer"])
def test_a_scorer_imports_the_types_of_its_arguments(task: Path, home: str) -> None:
    names = "CandidateError" if home == "scorer" else "Candidate, CandidateError, Case"
    (task / "evaluate.py").write_text(f"""
from {home} import {names}

def evaluate(candidate, case):
    try:
        candidate.call("no_such_function")
    except CandidateError as error:
        return 1.0 if error.reason == "exception" else 0.0
""")
    done = evolve("eval", task, "--json", cwd=task)
    assert done.code == 0 and done.json()["score"] == 1.0, done.err
