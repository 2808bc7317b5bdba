"""Tuning in a run without a model: the same tree after kills, a replay without a tuner."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import evolve
from tests.e2e.test_repeatable import killed_often, tree

VARIANTS = 80
WANTED = [
    *("--max-variants", str(VARIANTS), "--sandbox", "bubblewrap"),
    *("--seed", "5", "--window", "4", "--json"),
]


@pytest.mark.timeout(200)
def test_a_tuned_run_is_the_same_after_kills(tmp_path: Path, tasks: Path) -> None:
    task = tasks / "circle_packing"
    place = ("--runs-dir", tmp_path)
    done = evolve("run", task, "--name", "whole", *place, *WANTED)
    assert done.code == 0, done.err
    killed_often(tmp_path, task, WANTED, VARIANTS, least=1)
    whole = tree(tmp_path, "whole")
    assert tree(tmp_path, "r") == whole
    made = [v["operator"] for v in evolve("tree", "r", *place, "--json").json()]
    assert made.count("tune") > VARIANTS / 2
    again = evolve("replay", "whole", "--name", "again", *place, "--json")
    assert again.code == 0, again.err
    assert tree(tmp_path, "again")[1] == whole[1]
