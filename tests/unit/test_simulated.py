"""The simulated world: repeatable, within its budget, and telling good policies from bad ones."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.simulated import Being, Simulation, World, simulate
from evolve.errors import ConfigError
from evolve.search import OperatorMix, make_policy
from tests.conftest import ROOT

SMALL = World(cases=20, evaluations=120)
MIX = OperatorMix({"change": 1.0}, {"change": 1})


@pytest.mark.parametrize("name", ["hgm", "dgm", "weighted", "adaevolve"])
def test_a_run_is_repeatable_and_keeps_its_budget(name: str) -> None:
    runs = [Simulation(SMALL, make_policy(name, MIX), 7) for _ in range(2)]
    first, second = [run.run() for run in runs]
    assert first == second
    assert 120 <= first.evaluations < 140 and 0 < first.worth < 1
    assert runs[0].snapshot.case_scores.counts.sum() <= first.evaluations


def test_children_are_worse_equal_better_or_broken_as_the_world_says() -> None:
    world = World(neutral=0.3, harmful=0.4, broken=0.1)
    run = Simulation(world, make_policy("random", MIX), 0)
    rng, parent = np.random.default_rng(0), Being(0.5, 1.0)
    children = [run._child([parent], rng) for _ in range(4000)]
    alive = [child.quality for child in children if child is not None]
    shares = [
        1 - len(alive) / 4000,
        *(
            sum(found) / 4000
            for found in (
                [q < 0.5 for q in alive],
                [q == 0.5 for q in alive],
                [q > 0.5 for q in alive],
            )
        ),
    ]
    assert shares == pytest.approx([0.1, 0.4, 0.3, 0.2], abs=0.03)


def test_one_score_without_bounds_and_with_noise() -> None:
    run = Simulation(
        World(cases=0, evaluations=40, noise=0.5), make_policy("weighted", MIX), 3
    )
    assert run.run().variants <= 41
    again = [
        run._row(1, Being(2.0, 1.0), "case0", attempt).score for attempt in (0, 0, 1)
    ]
    assert again[0] == again[1] != again[2]


def test_case_by_case_beats_whole_evaluations() -> None:
    whole, one = (
        simulate(name, World(cases=30, evaluations=300), 8)
        for name in ("weighted", "hgm")
    )
    assert np.mean([r.worth for r in one]) > np.mean([r.worth for r in whole]) + 0.1


def test_the_command() -> None:
    command = [sys.executable, "-m", "benchmarks.simulated", "--seeds", "3"]
    small = ("--evaluations", "60", "--cases", "10")
    own = "hgm:pooled=false,tempered=false"
    done = subprocess.run(
        [*command, "--policy", "best_of_n", "--policy", own, "--json", *small],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert set(found) == {"best_of_n", own} and found[own]["variants"] > 5


def test_parts_of_hgm_can_be_switched_off() -> None:
    world = World(cases=20, evaluations=150)
    whole, own = (
        simulate(name, world, 4) for name in ("hgm", "hgm:pooled=false,tempered=false")
    )
    assert whole != own
    with pytest.raises(ConfigError, match="unknown parameter 'pool'"):
        simulate("hgm:pool=1", world, 1)
    with pytest.raises(ConfigError, match="invalid alpha '7'"):
        simulate("hgm:alpha=7", world, 1)
    with pytest.raises(ConfigError, match="hgn"):
        simulate("hgn", world, 1)
