"""The quick figures of a run are those that its archive gives when it is opened in full."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from evolve.archive import ArchiveError, figures_of
from evolve.errors import TaskError
from evolve.runs.folder import RunFolder, open_run
from evolve.runs.reader import OpenRun
from evolve.runs.summary import summary_of
from tests.conftest import ROOT
from tests.made_runs import Made, make_run


def opened(run: RunFolder) -> dict[str, object]:
    """The summary that an `OpenRun` makes."""
    found = OpenRun(run)
    try:
        return found.summary()
    finally:
        found.close()


def change(run: RunFolder, *statements: str) -> None:
    with sqlite3.connect(run.database) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize(
    "made", [Made(1), Made(60), Made(40, cases=5, seed=3), Made(30, rounds=True)]
)
def test_they_are_those_of_the_opened_archive(
    tmp_path: Path, made: Made, direction: str
) -> None:
    run = make_run(tmp_path / "runs", "r", made)
    task = run.path / "task" / "task.toml"
    task.write_text(f'direction = "{direction}"\n' + task.read_text())
    assert figures_of(run.database, direction == "maximize") is not None
    assert summary_of(run) == opened(run)
    change(
        run,
        "UPDATE proposals SET quarantined = 1 WHERE number % 7 = 3",
        "UPDATE calls SET state = 'uncertain' WHERE id % 5 = 2",
        "UPDATE calls SET model = 'person' WHERE id % 11 = 4",
        "UPDATE evaluations SET reason = 'timeout' WHERE id % 13 = 6",
        "UPDATE evaluations SET score = 1.5 WHERE id % 3 = 1",
    )  # many are equal
    summary = summary_of(run)
    assert summary == opened(run) and summary["scored"]


def test_a_run_without_a_score_has_no_best(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "r", Made(5))
    change(run, "DELETE FROM evaluations")
    assert summary_of(run) == opened(run) and summary_of(run)["best"] is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE alembic_version SET version_num = '0002'",
        "DROP TABLE calls",
        "UPDATE proposals SET state = 'evaluated' WHERE number = 3",
    ],
)
def test_what_is_unusual_is_left_to_the_reader(tmp_path: Path, statement: str) -> None:
    run = make_run(tmp_path / "runs", "r", Made(5))
    change(run, statement)
    assert figures_of(run.database, True) is None


def test_repeated_evaluations_are_ranked_by_merit(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "r", Made(20))
    change(
        run,
        "UPDATE proposals SET state = 'evaluated', operator = 'evaluate', kept = NULL, "
        """decision = '{"case": "main", "attempt": 1}' WHERE state = 'rejected'""",
    )
    assert figures_of(run.database, True) is None and summary_of(run) == opened(run)


def test_an_archive_that_is_none_or_gone(tmp_path: Path) -> None:
    (tmp_path / "archive.db").write_text("no database")
    assert figures_of(tmp_path / "archive.db", True) is None
    assert figures_of(tmp_path / "nowhere.db", True) is None
    assert not (tmp_path / "nowhere.db").exists()
    shutil.copy(ROOT / "tests/unit/stored/schema-0002.db", tmp_path / "old.db")
    assert figures_of(tmp_path / "old.db", True) is None


@pytest.mark.parametrize("part", ["archive.db", "code.git", "task"])
def test_a_run_of_which_a_part_is_missing_is_an_error(
    tmp_path: Path, part: str
) -> None:
    make_run(tmp_path / "runs", "r", Made(3))
    gone = tmp_path / "runs" / "r" / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises((ArchiveError, TaskError)):
        summary_of(open_run(tmp_path / "runs", "r"))


def test_a_path_with_signs_of_an_address(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", "r", Made(3))
    odd = tmp_path / "a?b#c%20d.db"
    shutil.copy(run.database, odd)
    assert figures_of(odd, True) == figures_of(run.database, True) is not None
