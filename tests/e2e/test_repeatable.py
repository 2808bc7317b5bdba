"""Repeatable by construction: the same replies make the same run, whoever is fast and whatever dies."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import EVOLVE, ScriptedServer, evolve
from tests.crash.test_kill import kill_at_random

Start = Callable[..., ScriptedServer]
VARIANTS = 60
TIMES = ("seconds", "cost_usd")


def tree(folder: Path, run: str) -> list[dict[str, Any]]:
    """`evolve tree --json`, without times."""
    variants = evolve("tree", run, "--json", "--runs-dir", folder).json()
    return [{key: value for key, value in v.items() if key not in TIMES} for v in variants]


def options(server: ScriptedServer, *more: str | int) -> list[str]:
    return ["--model", server.model, "--max-variants", str(VARIANTS), "--sandbox", "bubblewrap",
            "--seed", "5", "--json", *map(str, more)]


def test_a_window_makes_runs_of_any_number_of_workers_equal(tmp_path: Path, tasks: Path,
                                                            scripted: Start) -> None:
    server = scripted("--bad-rate", 0.2, "--jitter", 0.05)
    trees = []
    for workers in (1, 2, 8):
        done = evolve("run", tasks / "cap_set", "--name", f"w{workers}", "--runs-dir", tmp_path,
                      *options(server, "--window", 8, "--workers", workers))
        assert done.code == 0, done.err
        trees.append(tree(tmp_path, f"w{workers}"))
    assert trees[0] == trees[1] == trees[2]
    assert len([v for v in trees[0] if v["number"] > 0 and v["status"] in ("scored", "failed")]
               ) == VARIANTS
    assert {"rejected", "scored"} <= {v["status"] for v in trees[0]}, "rejections are part of it"


def test_a_windowed_run_is_the_same_however_often_it_is_killed(tmp_path: Path, tasks: Path,
                                                               scripted: Start) -> None:
    server = scripted("--bad-rate", 0.2, "--jitter", 0.05)
    wanted = options(server, "--window", 8)
    assert evolve("run", tasks / "cap_set", "--name", "whole", "--runs-dir", tmp_path, *wanted).code == 0
    first = [EVOLVE, "run", str(tasks / "cap_set"), "--name", "r", "--runs-dir", str(tmp_path), *wanted]
    again = [EVOLVE, "resume", "r", "--runs-dir", str(tmp_path), "--json"]
    chance, kills = random.Random(3), 0
    while kills < 10:
        kills += kill_at_random(again if (tmp_path / "r").exists() else first, chance)
        if kills >= 3 and evolve("status", "r", "--runs-dir", tmp_path, "--json").json()["finished"]:
            break
    done = evolve("resume", "r", "--runs-dir", tmp_path, "--json")
    assert done.code == 0, done.err
    assert tree(tmp_path, "r") == tree(tmp_path, "whole")


def test_a_live_run_is_repeated_by_its_replay(tmp_path: Path, tasks: Path, scripted: Start) -> None:
    server = scripted("--bad-rate", 0.2, "--jitter", 0.2)
    done = evolve("run", tasks / "cap_set", "--name", "live", "--runs-dir", tmp_path,
                  *options(server, "--window", 0, "--workers", 8))
    assert done.code == 0, done.err
    server.stop()
    for workers in (1, 4):
        again = evolve("replay", "live", "--name", f"again{workers}", "--workers", workers,
                       "--sandbox", "bubblewrap", "--runs-dir", tmp_path)
        assert again.code == 0 and "0 differences" in again.err, again.err
        assert tree(tmp_path, f"again{workers}") == tree(tmp_path, "live")
