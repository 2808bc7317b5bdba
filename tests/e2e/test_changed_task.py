"""A task that was changed after a run began: the run keeps its copy, and says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from evolve.config import Settings
from evolve.runs.folder import create_run, open_run
from evolve.tasks import load_task, with_cases
from tests.cli import Result, evolve
from tests.conftest import ROOT

EVALUATE = """
def evaluate(candidate, case):
    return float(candidate.call("number"))
"""
SEED = "def number():\n    return 2.5 + 1.25\n"
TOML = 'name = "numbers"\ndescription = "A large number."\n'
SAYS = "has changed since: this run goes on with its own copy; the changed one needs a new run"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task, with a run `r` of it beside it."""
    folder = tmp_path / "task"
    (folder / "initial").mkdir(parents=True)
    (folder / "initial" / "program.py").write_text(SEED)
    (folder / "evaluate.py").write_text(EVALUATE)
    (folder / "task.toml").write_text(TOML)
    done = evolve(
        "run",
        "task",
        "--name",
        "r",
        "--max-variants",
        2,
        "--sandbox",
        "local",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    return folder


def resume(task: Path, variants: int) -> Result:
    done = evolve("resume", "r", "--max-variants", variants, cwd=task.parent)
    assert done.code == 0, done.err
    return done


def test_resume_says_that_the_task_was_changed(task: Path) -> None:
    assert SAYS not in resume(task, 3).err
    evaluator = task / "evaluate.py"
    evaluator.write_text(evaluator.read_text().replace("float(", "2 * float("))
    assert f"the task at {task} {SAYS}" in resume(task, 4).err
    evaluator.write_text(EVALUATE)
    assert SAYS not in resume(task, 5).err
    (task / "task.toml").write_text("no TOML")
    assert SAYS in resume(task, 6).err
    (task / "task.toml").write_text(TOML)
    assert SAYS not in resume(task, 7).err
    (task / "initial" / "program.py").write_text("def number():\n    return 7.0\n")
    assert SAYS in resume(task, 8).err
    (task / "initial" / "program.py").write_text(SEED)
    (task / "prompts").mkdir()
    assert SAYS not in resume(task, 9).err
    (task / "prompts" / "diff.j2").write_text("Raise it.")
    assert SAYS in resume(task, 10).err
    shutil.rmtree(task)
    assert "has changed" not in resume(task, 11).err


def test_a_task_under_version_control_can_be_run(task: Path) -> None:
    subprocess.run(["git", "init", "-q", str(task)], check=True)
    done = evolve(
        "run",
        "task",
        "--name",
        "git",
        "--max-variants",
        2,
        "--sandbox",
        "local",
        cwd=task.parent,
    )
    assert done.code == 0, done.err
    assert not (task.parent / "runs" / "git" / "task" / ".git").exists()


def test_cases_that_were_made_are_no_change(tmp_path: Path) -> None:
    """They count in the hash of the run's copy; the folder that it was made of has none."""
    folder = Path(
        shutil.copytree(ROOT / "tests" / "tasks" / "toy_agents", tmp_path / "task")
    )
    made = with_cases(load_task(folder), '[{"id": "made"}]')
    run = create_run(tmp_path / "runs", "r", made, Settings(), lambda new: None)
    assert not run.task_changed(run.task())
    (folder / "evaluate.py").write_text("changed = True\n")
    assert open_run(tmp_path / "runs", "r").task_changed(run.task())
