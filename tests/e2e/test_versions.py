"""The versions that candidates run with are kept with the run and named when they differ."""

from __future__ import annotations

import json
import platform
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evolve.runs.versions import MOST_NAMED, difference
from tests.cli import evolve


@pytest.mark.parametrize("place", ["local", "bubblewrap"])
def test_other_versions_are_named(steps_task: Path, tmp_path: Path, place: str) -> None:
    run = ("--sandbox", place, "--name", "r", "--max-variants", 3)
    assert evolve("run", steps_task, *run, cwd=tmp_path).code == 0
    database = tmp_path / "runs/r/archive.db"
    with closing(sqlite3.connect(database)) as connection:
        (text,) = connection.execute(
            "SELECT data FROM events WHERE kind = 'started'"
        ).fetchone()
    began = json.loads(text)
    assert began["versions"]["Python"] == platform.python_version()
    assert began["versions"]["machine"] == platform.machine()
    for verb in ("verify", "replay"):
        same = evolve(verb, "r", "--sandbox", place, cwd=tmp_path)
        assert same.code == 0 and "other versions" not in same.err, same.err
    began["versions"] |= {"Python": "3.99.1", "gone": "1.0"}
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE events SET data = ? WHERE kind = 'started'", (json.dumps(began),)
        )
    told = f"Python 3.99.1 there and {platform.python_version()} here"
    for command in (
        ("verify", "r", "--sandbox", place),
        ("replay", "r", "--name", "again", "--sandbox", place),
        ("resume", "r", "--max-variants", 5),
    ):
        done = evolve(*command, cwd=tmp_path)
        assert done.code == 0, done.err
        assert told in done.err and "gone 1.0 there and none here" in done.err
    done = evolve("resume", "r", "--max-variants", 6, cwd=tmp_path)
    assert "other versions" not in done.err, "said once: the last start is compared"


def test_differences_in_words() -> None:
    assert difference({}, {"a": "1"}) is None and difference({"a": "1"}, {}) is None
    assert difference({"a": "1"}, {"a": "1"}) is None
    many = {f"p{n}": "1" for n in range(MOST_NAMED + 3)}
    words = difference(many, dict.fromkeys(many, "2")) or ""
    assert "p0 1 there and 2 here" in words and "and 3 more" in words
