"""`evolve rescue`: databases damaged at random places, where the test knows which pages it damaged."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evolve.archive import CodeStore
from evolve.archive.pages import Pages
from evolve.archive.rescue import Rescued
from evolve.archive.schema import metadata
from evolve.runs.folder import open_run
from evolve.runs.rescue import rescue_run
from tests.cli import evolve
from tests.made_runs import Made, make_run

PAGE = 4096
TABLES = {table.name: table for table in metadata.sorted_tables}


class Intact(NamedTuple):
    """A whole run, with the rows of each leaf page: page -> table -> row by key."""

    path: Path
    pages: dict[int, dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]]
    rows: dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]


def rows_of(database: Path, table: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """All rows of a table by primary key, as SQL reads them."""
    keys = [c.name for c in TABLES[table].primary_key.columns]
    names = [c.name for c in TABLES[table].columns]
    quoted = ", ".join(f'"{name}"' for name in names)
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
        found = opened.execute(f"SELECT {quoted} FROM {table}").fetchall()
    places = [names.index(key) for key in keys]
    return {tuple(row[place] for place in places): row for row in found}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Intact:
    """A run of 200 variants with calls, some rows longer than a page."""
    runs = tmp_path_factory.mktemp("intact")
    run = make_run(runs, "whole", Made(variants=200, cases=3, rounds=True))
    with closing(sqlite3.connect(run.database)) as opened, opened:
        opened.execute(
            "UPDATE evaluations SET log = hex(randomblob(9000)) WHERE id % 40 = 3"
        )
    CodeStore.open_to_write(run.code).tidy(commits_of(run.database))
    rows = {name: rows_of(run.database, name) for name in TABLES}
    return Intact(run.path, located(run.database, rows), rows)


def commits_of(database: Path) -> dict[str, str]:
    return {
        row[0]: row[list(TABLES["proposals"].columns.keys()).index("commit")]
        for row in rows_of(database, "proposals").values()
        if row[list(TABLES["proposals"].columns.keys()).index("commit")]
    }


def located(database: Path, rows: dict[str, Any]) -> dict[int, Any]:
    """Where each row is, found with `rowid` and the reader's places of rows."""
    pages, places = Pages(database), dict[int, dict[str, Any]]()
    with closing(sqlite3.connect(database)) as opened:
        roots = dict(
            opened.execute(
                "SELECT name, rootpage FROM sqlite_master WHERE type='table'"
            )
        )
        for table in TABLES:
            keys = ", ".join(c.name for c in TABLES[table].primary_key.columns)
            by_rowid = {
                rowid: tuple(key)
                for rowid, *key in opened.execute(f"SELECT rowid, {keys} FROM {table}")
            }
            seen = set()
            for number in pages.reachable(roots[table]) & set(pages.leaves()):
                for cell in pages.cells(number):
                    key = by_rowid[cell.rowid]
                    seen.add(key)
                    places.setdefault(number, {}).setdefault(table, {})[key] = rows[
                        table
                    ][key]
            assert seen == rows[table].keys(), f"SQL and pages differ in {table}"
    return places


def damaged(path: Path, rng: random.Random) -> set[int]:
    """Damage some pages of a database, and return their numbers."""
    data = bytearray(path.read_bytes())
    count = len(data) // PAGE
    hit = set(rng.sample(range(1, count + 1), rng.choice((1, 1, 3, 8, count // 3))))
    if rng.random() < 0.2:
        hit.add(1)
    for page in hit:
        start = (page - 1) * PAGE
        match rng.choice(("zero", "noise", "bytes", "header", "end")):
            case "zero":
                data[start : start + PAGE] = bytes(PAGE)
            case "noise":
                data[start : start + PAGE] = rng.randbytes(PAGE)
            case "bytes":
                for _ in range(rng.randint(1, 40)):
                    data[start + rng.randrange(PAGE)] = rng.randrange(256)
            case "header":
                data[start : start + 12] = rng.randbytes(12)
            case "end":
                data[start + PAGE // 2 : start + PAGE] = rng.randbytes(PAGE // 2)
    if rng.random() < 0.25:
        end = rng.randrange(PAGE, len(data))
        hit |= set(range(end // PAGE + 1, count + 1))
        del data[end:]
    path.write_bytes(data)
    return hit


def copied(intact: Intact, tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "hurt"
    shutil.copytree(intact.path, run)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_every_row_of_an_undamaged_page_is_saved(
    intact: Intact, tmp_path: Path, seed: int
) -> None:
    run = copied(intact, tmp_path)
    hit = damaged(run / "archive.db", random.Random(seed))
    new = tmp_path / "new"
    saved = rescue_run(tmp_path / "runs", str(run), new)
    check_rows(intact, hit, new, saved)
    check_that_it_opens(new)


def check_rows(
    intact: Intact, hit: set[int], new: Path, saved: dict[str, Rescued]
) -> None:
    for table in TABLES:
        found = rows_of(new / "archive.db", table)
        expected = {
            key: row
            for page, tables in intact.pages.items()
            if page not in hit
            for key, row in tables.get(table, {}).items()
        }
        assert expected.keys() <= found.keys(), (table, expected.keys() - found.keys())
        short = {k for k, row in expected.items() if len(repr(row)) < PAGE}
        wrong = {k for k in short if found[k] != expected[k]}
        assert not wrong, (table, wrong, [(found[k], expected[k]) for k in wrong][:1])
        missing = intact.rows[table].keys() - found.keys()
        assert saved[table].lost <= len(intact.rows[table])
        numbered = {page for page in intact.pages if table in intact.pages[page]}
        if numbered and max(numbered) not in hit:  # the last rows are there
            added = len(found.keys() - intact.rows[table].keys())
            assert saved[table].lost >= len(missing) - added, table


def check_that_it_opens(new: Path) -> None:
    """All views open it; each variant with row and tree can be read."""
    for verb in ("tree", "status", "stats", "best", "log"):
        shown = evolve(verb, new)
        assert "unexpected" not in shown.err and "Traceback" not in shown.err, shown.err
        assert shown.code == 0 or "no variant is scored" in shown.err, shown.err
    variants = evolve("tree", new, "--json").json()
    for variant in random.Random(0).sample(variants, min(3, len(variants))):
        shown = evolve("show", variant["id"], "--run", new)
        assert shown.code == 0, shown.err
    run = open_run(new.parent, str(new))
    store = CodeStore.open(run.code)
    for row in rows_of(new / "archive.db", "proposals").values():
        tree = row[list(TABLES["proposals"].columns.keys()).index("tree")]
        if tree:
            assert store.files(tree)
    store.close()


def test_the_verb_counts_what_is_lost(intact: Intact, tmp_path: Path) -> None:
    run = copied(intact, tmp_path)
    data = bytearray((run / "archive.db").read_bytes())
    page, rows = next(
        (page, tables["evaluations"])
        for page, tables in intact.pages.items()
        if "evaluations" in tables
    )
    data[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
    (run / "archive.db").write_bytes(data)
    done = evolve("rescue", "hurt", "-o", tmp_path / "n w", cwd=tmp_path)
    assert done.code == 0, done.err
    count = len(intact.rows["evaluations"]) - len(rows)
    expected = f"{count:,} rows saved, at least {len(rows)} lost"
    assert expected in done.out, done.out
    assert f"evolve tree '{tmp_path / 'n w'}'" in done.err
    check_that_it_opens(tmp_path / "n w")
    again = evolve("rescue", "hurt", "-o", tmp_path / "n w", cwd=tmp_path)
    assert again.code == 2 and "not empty" in again.err


def test_a_killed_run_and_a_broken_run_toml(intact: Intact, tmp_path: Path) -> None:
    """Rows that are only in the write-ahead log; settings that can't be read."""
    run = copied(intact, tmp_path)
    with closing(sqlite3.connect(run / "archive.db")) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute(
            "INSERT INTO events (id, at, kind, data) VALUES (999, 1, 'x', '{}')"
        )
        writer.commit()
        shutil.copytree(run, tmp_path / "runs" / "killed")
    killed = tmp_path / "runs" / "killed"
    data = bytearray((killed / "archive.db").read_bytes())
    data[:100] = bytes(100)  # SQL reads nothing of it
    (killed / "archive.db").write_bytes(data)
    (killed / "run.toml").write_text("[[[")
    saved = rescue_run(tmp_path / "runs", str(killed), tmp_path / "new")
    assert saved["events"].saved == len(intact.rows["events"]) + 1
    check_that_it_opens(tmp_path / "new")


@pytest.mark.parametrize("content", [b"", b"nonsense" * 2000, bytes(5000), b"x"])
def test_code_is_saved_where_no_row_is_left(
    intact: Intact, tmp_path: Path, content: bytes
) -> None:
    run = copied(intact, tmp_path)
    (run / "archive.db").write_bytes(content)
    rescue_run(tmp_path / "runs", str(run), tmp_path / "new")
    check_that_it_opens(tmp_path / "new")
    found = rows_of(tmp_path / "new" / "archive.db", "proposals")
    assert len(found) == len(commits_of(intact.path / "archive.db"))
    assert evolve("rescue", "hurt", "-o", tmp_path / "x", cwd=tmp_path).code == 0
