"""A column is one entry of a table: every view of variants shows it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from evolve import open_run
from evolve.view import columns
from evolve.view.columns import COLUMNS, Column, View, columns_of
from evolve.view.web.library import RunCache
from tests.cli import evolve
from tests.made_runs import Made, make_run

SECONDS = Column(
    "seconds",
    lambda v: None if v.finished_at is None else v.finished_at - v.created_at,
    form="{:.2f} s",
)
SHOWN = "1.50 s"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns") / "runs"
    make_run(folder, "made", Made(20, seed=3))
    return folder


@pytest.fixture
def _with_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "COLUMNS", [*COLUMNS, SECONDS])


@pytest.mark.usefixtures("_with_seconds")
def test_one_entry_adds_a_column_to_every_view(runs: Path, tmp_path: Path) -> None:
    tree = evolve("tree", "made", "--runs-dir", runs)
    assert all(SHOWN in line for line in tree.out.splitlines()[1:])
    rows = evolve("tree", "made", "--runs-dir", runs, "--json").json()
    assert {row["seconds"] for row in rows} == {1.5}
    assert evolve("show", "best", "--runs-dir", runs, "--json").json()["seconds"] == 1.5

    files = {"csv": tmp_path / "a.csv", "html": tmp_path / "a.html"}
    for kind, path in files.items():
        assert evolve("export", "--runs-dir", runs, f"--{kind}", path).code == 0
    with files["csv"].open(newline="") as file:
        assert {row["seconds"] for row in csv.DictReader(file)} == {"1.5"}

    page = files["html"].read_text()
    assert "seconds</th>" in page and f"{SHOWN}</td>" in page
    with RunCache(runs).run("made") as shelf:
        payload = shelf.payload("tree")
    assert (
        set(payload["seconds"]) == {1.5} and payload["forms"]["seconds"] == "{:.2f} s"
    )

    with open_run("made", runs) as run:
        assert set(run.variants.to_pandas().seconds) == {1.5}


def test_without_the_entry_no_view_has_it(runs: Path) -> None:
    assert SHOWN not in evolve("tree", "made", "--runs-dir", runs).out
    assert "seconds" not in evolve("tree", "made", "--runs-dir", runs, "--json").out


def test_a_view_has_no_two_columns_of_one_name() -> None:
    for view in View:
        names = [column.name for column in columns_of(view)]
        assert names and len(names) == len(set(names)), view


def test_a_tree_in_a_pipe_is_not_cut(runs: Path) -> None:
    narrow, wide = (
        evolve("tree", "made", "--runs-dir", runs, env={"COLUMNS": columns}).out
        for columns in ("40", "300")
    )
    assert narrow == wide and max(map(len, narrow.splitlines())) > 40
