"""`evolve import`, and packages of other engines' tasks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evolve.tasks import load_task
from tests.cli import evolve
from tests.judging import Judge
from tests.peers import FOLDER, score_in_process


def test_an_imported_task_is_ours_and_scores_the_same(tmp_path: Path) -> None:
    with Judge("bubblewrap", tmp_path / "log") as judge:
        for name in ("shinka_moves", "openevolve_placement", "codeevolve_sum"):
            done = evolve("import", FOLDER / name, "-o", tmp_path / name)
            assert done.code == 0, done.err
            task, before = load_task(tmp_path / name), load_task(FOLDER / name)
            assert (
                task.spec.peer is not None
                and task.peer is not None
                and task.warnings == ()
            )
            assert (
                dict(task.seed) == dict(before.seed)
                and task.spec.limits == before.spec.limits
            )
            assert task.spec.description.strip() == before.spec.description
            assert ("warning: " in done.err) is bool(before.warnings)
            row = judge(tmp_path / name)
            assert row.score == score_in_process(FOLDER / name), row


def test_an_imported_task_can_have_a_ceiling(tmp_path: Path) -> None:
    assert evolve("import", FOLDER / "codeevolve_sum", "-o", tmp_path / "new").code == 0
    toml = tmp_path / "new" / "task.toml"
    text = toml.read_text()
    for ceiling, code in ((0.5, 2), (0.95, 0)):  # the seed scores between them
        toml.write_text(f"ceiling = {ceiling}\n{text}")
        done = evolve(
            "run",
            tmp_path / "new",
            "--sandbox",
            "local",
            "--max-variants",
            "2",
            "--runs-dir",
            tmp_path,
            "--name",
            "r",
        )
        assert done.code == code, done.err
        assert ("better than the ceiling of 0.5" in done.err) is bool(code)


def test_what_can_not_be_imported(tmp_path: Path, tasks: Path) -> None:
    ours = evolve("import", tasks / "cap_set", "-o", tmp_path / "new")
    assert ours.code == 2 and "is already in this engine's format" in ours.err
    there = evolve("import", FOLDER / "codeevolve_sum", "-o", tmp_path)
    assert there.code == 2 and "exists already" in there.err


@pytest.mark.slow
def test_doctor_writes_the_requirements(tmp_path: Path) -> None:
    task = Path(shutil.copytree(FOLDER / "codeevolve_sum", tmp_path / "task"))
    program = task / "input" / "src" / "adder.py"
    program.write_text("import six\n" + program.read_text())
    told = evolve("doctor", task, "--sandbox", "local")
    assert "imports six" in told.out and "--fix" in told.out
    assert not (task / "requirements.txt").exists()
    fixed = evolve("doctor", task, "--sandbox", "local", "--fix")
    assert fixed.code == 0, fixed.out
    assert (task / "requirements.txt").read_text() == "six\n"
    assert "the seed scores 0.9090909090909091" in fixed.out
