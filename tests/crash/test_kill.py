"""kill -9 at any moment: in the end all variants are there, once, and every store is whole."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli import EVOLVE, evolve

KILLS, VARIANTS = 20, 200


def kill_at_random(
    command: list[str], chance: random.Random, sign: signal.Signals = signal.SIGKILL
) -> bool:
    """Start it and kill it: while it starts, or after some candidates. False when it ended first."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    with process:
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0.05, 1.5))
        else:
            for _ in range(chance.randint(1, 12)):
                if not process.stdout.readline():
                    return process.wait() != 0
            time.sleep(chance.uniform(0.0, 0.06))
        ended = process.poll() is not None
        process.send_signal(sign)
    return not ended


def assert_stores_clean(run: Path) -> None:
    """The database and the repository are whole by their own tools' word."""
    with sqlite3.connect(run / "archive.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()
    fsck = subprocess.run(
        ["git", f"--git-dir={run / 'code.git'}", "fsck", "--no-dangling"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (fsck.returncode, fsck.stdout) == (0, ""), fsck.stderr


def assert_one_tree(variants: list[dict[str, object]]) -> None:
    """Every variant but the seed has parents that came before it."""
    known: set[object] = set()
    for variant in sorted(variants, key=lambda v: int(str(v["number"]))):
        parents = variant["parents"]
        assert isinstance(parents, list)
        assert (variant["number"] == 0) == (not parents)
        assert set(parents) <= known
        known.add(variant["id"])


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.timeout(280)
def test_killed_twenty_times(tmp_path: Path, steps_task: Path) -> None:
    chance = random.Random(7)
    limit = ["--max-variants", str(VARIANTS), "--json", "--runs-dir", str(tmp_path)]
    first = [EVOLVE, "run", str(steps_task), "--name", "r", *limit]
    kills = 0
    while kills < KILLS:
        begun = (tmp_path / "r").exists()  # it appears whole or not at all
        command = [EVOLVE, "resume", "r", *limit] if begun else first
        kills += kill_at_random(command, chance)
    done = evolve("resume", "r", *limit)
    assert done.code == 0, done.err
    variants = evolve("tree", "r", "--runs-dir", tmp_path, "--json").json()
    finished = [
        v for v in variants if v["status"] in ("scored", "failed") and v["number"] > 0
    ]
    assert len(finished) == VARIANTS
    assert len(finished) == len(variants) - 1  # nothing is left half done
    assert len({v["id"] for v in variants}) == len(variants)
    assert_one_tree(variants)
    assert_stores_clean(tmp_path / "r")
