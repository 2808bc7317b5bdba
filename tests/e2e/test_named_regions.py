"""A region named in task.toml, from the run to the user's repository, through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import evolve
from tests.e2e.test_export import git

MARKER = "EVOLVE-BLOCK"
PROGRAM = """\
import math

LIMIT = 2.5


class Numbers:
    @staticmethod
    def large():
        return 2.5 + 1.25

    def small(self):
        return LIMIT


def number():
    return Numbers.large()
"""
EVALUATE = """
def evaluate(candidate, case):
    return float(candidate.call("number"))
"""
TOML = """
name = "numbers"
description = "A large number."
editable = ["lib/numbers.py:Numbers.large"]
entry = "lib/numbers.py"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the program, and a run with a better one."""
    folder = tmp_path_factory.mktemp("named")
    for root in (folder / "task" / "initial", folder / "mine" / "src"):
        (root / "lib").mkdir(parents=True)
        (root / "lib" / "numbers.py").write_text(PROGRAM)
    (folder / "task" / "evaluate.py").write_text(EVALUATE)
    (folder / "task" / "task.toml").write_text(TOML)
    git(folder / "mine", "init", "-q")
    git(folder / "mine", "config", "user.name", "a")
    git(folder / "mine", "config", "user.email", "a@b")
    git(folder / "mine", "add", ".")
    git(folder / "mine", "commit", "-qm", "first")
    arguments = ("--name", "r", "--sandbox", "local", "--max-variants", "12")
    done = evolve("run", "task", *arguments, cwd=folder)
    assert done.code == 0, done.err
    return folder


def test_only_the_named_method_changes(place: Path) -> None:
    best = evolve("best", "r", "--json", cwd=place).json()
    assert best["score"] > 3.75
    assert evolve("best", "r", "-o", "best", cwd=place).code == 0
    program = (place / "best" / "lib" / "numbers.py").read_text()
    before, after = PROGRAM.split("        return 2.5 + 1.25\n")
    assert program.startswith(
        before.removesuffix("    @staticmethod\n    def large():\n")
    )
    assert program.endswith(after) and program != PROGRAM


def test_no_marker_leaves_the_run(place: Path) -> None:
    shown = [
        evolve("diff", "best", "seed", "--run", "r", cwd=place),
        evolve("diff", "best", "seed", "--run", "r", "--json", cwd=place),
        evolve("best", "r", cwd=place),
        evolve("checkout", "seed", "seed", "--run", "r", cwd=place),
        evolve("export", "r", "--report", "report", "--git", "git", cwd=place),
        evolve("apply", "best", "--run", "r", "-C", "mine", "--branch", "b", cwd=place),
    ]
    assert [(done.code, done.err) for done in shown if done.code] == []
    assert all(MARKER not in done.out for done in shown)
    assert (place / "seed" / "lib" / "numbers.py").read_text() == PROGRAM
    assert MARKER not in git(place / "mine", "diff", "HEAD", "b")
    assert MARKER not in git(place / "git", "log", "-p")
    written = [*place.glob("report/**/*.md"), place / "git" / "best.patch"]
    assert len(written) > 1
    assert all(MARKER not in path.read_text() for path in written)


def test_a_program_that_came_out_goes_in_again(place: Path) -> None:
    program = PROGRAM.replace(
        "    @staticmethod\n    def large():\n        return 2.5 + 1.25\n",
        "    @staticmethod\n    def other():\n        return 50.0\n\n"
        "    @staticmethod\n    def large():\n        return Numbers.other()\n",
    )
    (place / "own.py").write_text(program)
    done = evolve("add", "own.py", "--run", "r", "--parent", "seed", cwd=place)
    assert done.code == 0, done.err
    assert evolve("resume", "r", "--max-variants", "14", cwd=place).code == 0
    assert evolve("best", "r", "--json", cwd=place).json()["score"] == 50.0
    evolve("checkout", "best", "again", "--run", "r", cwd=place)
    assert (place / "again" / "lib" / "numbers.py").read_text() == program
    (place / "own.py").write_text("def number():\n    return 60\n")
    refused = evolve("add", "own.py", "--run", "r", cwd=place)
    assert refused.code == 2 and "defines no 'Numbers.large'" in refused.err


def test_a_replay_gives_the_same(place: Path) -> None:
    done = evolve("replay", "r", "--sandbox", "local", "--name", "again", cwd=place)
    assert done.code == 0, done.err
    rows = [evolve("tree", name, "--json", cwd=place).json() for name in ("r", "again")]
    assert [row["id"] for row in rows[0]] == [row["id"] for row in rows[1]]
