"""Links in the folder of a task or a run lead nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli import evolve
from tests.security.strangers import new_run, on, write_task


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "id_rsa").write_text("secret of the user")
    return folder


PLACES = ("data", "initial/data", "prompts", "notes.txt", "README.md", "cases.json")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("verb", ["eval", "run", "check", "doctor", "trust"])
def test_a_link_out_of_a_task_is_refused(
    tmp_path: Path, secret: Path, place: str, verb: str
) -> None:
    task = write_task(tmp_path / "task")
    whole = place in ("data", "initial/data", "prompts")
    (task / place).symlink_to(secret if whole else secret / "id_rsa")
    done = evolve(verb, task, cwd=tmp_path)
    assert done.code != 0 and "leads out of the task" in done.out + done.err
    assert "secret of the user" not in done.out + done.err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("task.toml", None),
        ("evaluate.py", None),
        ("initial/main.py", None),
        ("initial", None),
    ],
)
def test_a_file_of_the_task_may_not_be_a_link_out(
    tmp_path: Path, secret: Path, name: str, text: None
) -> None:
    task = write_task(tmp_path / "task")
    moved = secret / "moved"
    (task / name).rename(moved)
    (task / name).symlink_to(moved)
    done = evolve("eval", task)
    assert done.code == 2 and "leads out of the task" in done.err


@pytest.mark.parametrize(
    "toml",
    [
        '[peer]\nformat = "shinka"\nevaluator = "../elsewhere.py"',
        '[environment]\nimage = "../elsewhere/Dockerfile"',
    ],
)
def test_a_path_out_of_a_task_is_refused(tmp_path: Path, toml: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "elsewhere.py").write_text("")
    done = evolve("eval", write_task(tmp_path / "task", toml))
    assert done.code == 2 and "leads out of the task" in done.err


def test_a_link_inside_of_a_task_stays_allowed(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    (task / "data").mkdir()
    (task / "data" / "numbers").write_text("1")
    (task / "same").symlink_to("data/numbers")
    assert evolve("eval", task).code == 0


@pytest.mark.parametrize(
    "name", ["lock", "run.toml.new", "signature.new", "logs/scorer.log", "logs"]
)
def test_resuming_writes_through_no_link(run: Path, secret: Path, name: str) -> None:
    target = secret if name == "logs" else secret / "id_rsa"
    place = run / name
    if place.is_dir():
        place.rename(run / "elsewhere")
    elif place.exists():
        place.unlink()
    place.symlink_to(target)
    done = on(run, "resume", "--max-variants", "5", "--trust")
    assert done.code != 0 and "is a link" in done.err
    assert (secret / "id_rsa").read_text() == "secret of the user"
    assert os.listdir(secret) == ["id_rsa"]


@pytest.mark.parametrize("name", ["archive.db", "archive.db-wal", "archive.db-shm"])
def test_reading_opens_no_link_as_a_database(
    run: Path, secret: Path, name: str
) -> None:
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret / "id_rsa")
    done = on(run, "tree")
    assert done.code != 0 and "is a link" in done.err
    assert (secret / "id_rsa").read_text() == "secret of the user"


def test_a_message_is_not_written_through_a_link(run: Path, secret: Path) -> None:
    (run / "inbox").symlink_to(secret)
    done = evolve("tell", "given", "a hint", "--runs-dir", run.parent)
    assert done.code != 0 and os.listdir(secret) == ["id_rsa"]


def test_a_new_run_is_private(tmp_path: Path) -> None:
    run = new_run(tmp_path, write_task(tmp_path / "task"))
    assert run.stat().st_mode & 0o777 == 0o700
