"""The grid against pyribs, the islands by hand, and the statistics of trials."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ribs.archives import GridArchive
from scipy.stats import t

from evolve.archive import (
    Evaluation,
    Grid,
    Islands,
    Measure,
    measure_code,
    measure_rows,
)
from evolve.archive.case_scores import CaseScores, Trial, wilson
from evolve.archive.grid import Status
from evolve.archive.islands import Archipelago
from evolve.archive.ranking import Ranking

MEASURES = (Measure("code_length", 0.0, 4.0, 5), Measure("novelty", -1.0, 1.0, 4))
POINTS = st.lists(
    st.tuples(
        st.floats(-3, 9, width=32),
        st.floats(-1, 5, width=32),
        st.floats(-2, 2, width=32),
    ),
    max_size=60,
)


@given(POINTS)
def test_the_grid_is_that_of_pyribs(points: list[tuple[float, float, float]]) -> None:
    ours = Grid(MEASURES, offset=-5.0)
    theirs = GridArchive(
        solution_dim=1,
        dims=[5, 4],
        ranges=[(0.0, 4.0), (-1.0, 1.0)],
        qd_score_offset=-5.0,
        epsilon=0.0,
    )
    for row, (value, length, novelty) in enumerate(points):
        cell = ours.cell([length, novelty])
        assert cell == theirs.index_of_single([length, novelty])
        status = theirs.add_single([row], value, [length, novelty])["status"]
        assert ours.add(row, cell, value) == int(status)
    stats = theirs.stats
    for name, value in ours.stats()._asdict().items():
        expected = getattr(stats, name)
        assert value == (
            None if expected is None else pytest.approx(float(expected))
        ), name
    if points:
        data = theirs.data(["index", "solution"], return_type="dict")
        assert dict(ours.elites) == {
            int(i): int(s[0])
            for i, s in zip(data["index"], data["solution"], strict=True)
        }


def test_an_elite_that_loses_its_value_gives_its_cell_back() -> None:
    grid = Grid(MEASURES)
    assert grid.add(0, 3, 1.0) is Status.NEW and grid.add(1, 3, 2.0) is Status.IMPROVED
    grid.update(1, 3, 0.5)
    assert dict(grid.elites) == {3: 0}
    grid.update(0, 3, None)
    grid.update(1, 3, None)
    assert not grid.elites and grid.stats().num_elites == 0


def archipelago(plan: Islands, values: list[float], homes: list[int]) -> Archipelago:
    made = Archipelago(plan, lambda: Grid(()))
    for value, home in zip(values, homes, strict=True):
        made.add(home, 0, value)
    return made


def test_the_best_of_each_island_visit_the_next_one() -> None:
    # After six variants: island 0 has rows 0 1 2 3, island 1 has 0 4, island 2 has 0 5.
    plan = Islands(3, "ring", interval=6, rate=0.25)
    made = archipelago(plan, [0, 9, 8, 1, 2, 3], [0, 0, 0, 0, 1, 2])
    assert [island.rows.tolist() for island in made.islands] == [
        [0, 1, 2, 3, 5],
        [0, 4, 1],
        [0, 5, 4],
    ]
    assert [island.natives for island in made.islands] == [4, 2, 2]
    full = archipelago(
        Islands(3, "full", 6, 0.25), [0, 9, 8, 1, 2, 3], [0, 0, 0, 0, 1, 2]
    )
    assert [set(island.rows.tolist()) for island in full.islands] == [
        {0, 1, 2, 3, 4, 5},
        {0, 4, 1, 5},
        {0, 5, 1, 4},
    ]


def test_the_worse_half_begins_again_from_the_best() -> None:
    plan = Islands(4, "ring", interval=100, restart=5)
    made = archipelago(plan, [0, 5, 7, 1, 2], [0, 0, 1, 2, 3])
    assert [island.rows.tolist() for island in made.islands] == [
        [0, 1],
        [0, 2],
        [1],
        [2],
    ]


def test_advances_are_kept() -> None:
    made = archipelago(Islands(), [0, 5, 4, 7], [0, 0, 0, 0])
    assert [(a.place, a.before, a.after) for a in made.islands[0].advances] == [
        (1, 0, 5),
        (3, 5, 7),
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from([None, 0.0, 1.0, 2.5, -1.0])),
        max_size=60,
    )
)
def test_a_ranking_is_a_sorted_list(moves: list[tuple[int, float | None]]) -> None:
    ranking, plain = Ranking(), dict[int, float]()
    for row, value in moves:
        ranking.update(row, value)
        plain.pop(row, None)
        if value is not None:
            plain[row] = value
    order = sorted(plain.items(), key=lambda item: (-item[1], item[0]))
    assert [tuple(ranked) for ranked in ranking.top(99)] == order
    levels = sorted(set(plain.values()), reverse=True)
    assert ranking.levels(99) == [
        [row for row in sorted(plain) if plain[row] == level] for level in levels
    ]


def test_intervals() -> None:
    # Wilson for 8 of 10, from his formula: (0.4901, 0.9433); Newcombe 1998 prints such values.
    assert wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-5)
    trials = CaseScores(("a", "b"))
    for _ in range(3):
        trials.append(())
    assert trials.append([Trial("a", 0, 1.0), Trial("b", 2, None)]) == (1.0, False)
    assert trials.next_attempt(3, "b") == 3 and trials.mean(3) == 1.0
    assert trials.interval(0) == (-math.inf, math.inf) and not trials.complete(0)
    for value in (1.0, 2.0, 3.0):
        trials.observe(0, "a", value)
    half = float(t.ppf(0.975, 2)) * 1 / math.sqrt(3)
    assert trials.interval(0) == pytest.approx((2 - half, 2 + half))
    for case, values in (("a", (0.0, 2.0)), ("b", (10.0, 14.0))):
        for value in values:
            trials.observe(1, case, value)
    # every case twice: only what differs within a case is uncertain: sqrt(2/2 + 8/2) / 2
    half = float(t.ppf(0.975, 3)) * math.sqrt(2 / 2 + 8 / 2) / 2
    assert trials.mean(1) == 6.5 and trials.interval(1) == pytest.approx(
        (6.5 - half, 6.5 + half)
    )
    for value in (1.0, 0.0, 1.0):
        trials.observe(2, "a", value)
    assert trials.interval(2) == wilson(2, 3)


def test_grades_are_no_proportion_even_where_their_sums_look_like_one() -> None:
    """Of eight halves and a two, sum and sum of squares are equal whole numbers."""
    values = [0.5] * 8 + [2.0]
    observed, appended = CaseScores(("a",)), CaseScores(("a",))
    observed.append(())
    for value in values:
        observed.observe(0, "a", value)
    appended.append([Trial("a", number, value) for number, value in enumerate(values)])
    for scores in (observed, appended):
        found = scores.interval(0)
        assert found != wilson(6, 9) and found.low < 6 / 9 < found.high


def test_measures_of_code_and_rows() -> None:
    code = b"# said\ndef f(x):\n    return x if x > 0 and x < 9 else 0\n"
    found = measure_code({"a.py": code})
    assert found["complexity"] == 3.0
    assert found == measure_code(
        {"a.py": code.replace(b"# said\n", b"").replace(b"x", b"long")}
    )
    rows = [
        Evaluation("a", "search", 0, 1.0, {"bins": 3, "name": "x"}, cpu_s=0.5),
        Evaluation("b", "search", 0, 1.0, {"bins": 4.0, "bad": math.nan}, cpu_s=0.25),
    ]
    assert measure_rows(rows) == {"bins": 3.5, "runtime": 0.75}
    assert measure_rows([]) == {"runtime": 0}
    assert np.isnan(Grid(MEASURES).cell([math.nan, 0.0])) == 0
