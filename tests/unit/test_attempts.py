"""The score of a case from its attempts: mean, median or minimum, in memory and in SQL."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.archive import Frame, Snapshot
from evolve.archive.attempts import Aggregate, of_attempts, of_values
from evolve.archive.case_scores import CaseScores, Trial
from evolve.archive.robust_scores import RobustScores
from tests.cli import evolve

# of one program, as seen on a machine with one burst of load
BURST = (0.0146, 0.0638, 0.0150)
SCORER = f"""
TIMES = {BURST!r}
def evaluate(candidate, case):
    if candidate.call("answer") != 1:
        candidate.fail("wrong")
    return TIMES[case.attempt]
"""
TOML = """name = "burst"
description = "be quick"
direction = "minimize"
aggregate = "{aggregate}"
[run]
repeats = 3
"""
Scores = list[list[float]]  # of attempts, by case
scores_of_cases = st.lists(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=7), min_size=1, max_size=3
)


def trials(scores: Scores) -> list[Trial]:
    return [
        Trial(str(case), attempt, value)
        for case, values in enumerate(scores)
        for attempt, value in enumerate(values)
    ]


@given(scores_of_cases, st.sampled_from(["median", "min"]), st.booleans())
def test_the_mean_of_a_row_is_that_of_the_scores_of_its_cases(
    scores: Scores, aggregate: Aggregate, maximize: bool
) -> None:
    aggregator = of_values(aggregate, maximize)
    assert aggregator is not None
    sign = 1 if maximize else -1
    rows = RobustScores(tuple(map(str, range(len(scores)))), aggregator)
    values = trials([[sign * score for score in case] for case in scores])
    appended = rows.append(values)
    rows.append(())
    for case, _, value in values:
        assert value is not None
        rows.observe(1, case, value)
    expected = np.mean([of_attempts(aggregate, case) for case in scores])
    assert sign * appended.mean == pytest.approx(expected)
    assert rows.mean(0) == rows.mean(1) == rows.mean_of(values)
    assert rows.means[0].tolist() == rows.means[1].tolist()
    assert rows.interval(0) == rows.interval(1)


def test_one_burst_does_not_move_an_interval() -> None:
    calm, burst = [1.0, 1.1, 0.9, 1.05, 0.95], [1.0, 1.1, 0.9, 1.05, 9.5]
    robust = RobustScores(("a",), median)
    averaged = CaseScores(("a",))
    for values in (calm, burst):
        for row in (robust, averaged):
            row.append([Trial("a", k, value) for k, value in enumerate(values)])
    assert robust.mean(1) == pytest.approx(robust.mean(0), rel=0.1)
    assert robust.interval(1).high < 1.5
    assert averaged.mean(1) > 2.5 and averaged.interval(1).high > 5


def test_means_stay_as_they_were() -> None:
    assert type(Snapshot(True).case_scores) is CaseScores
    assert type(Snapshot(True, Frame(aggregate="median")).case_scores) is RobustScores


@pytest.mark.parametrize(
    ("aggregate", "score"),
    [("mean", sum(BURST) / 3), ("median", 0.0150), ("min", 0.0146)],
)
def test_every_view_has_the_score_that_the_task_asks_for(
    aggregate: str, score: float, tmp_path: Path
) -> None:
    task, runs = tmp_path / "task", ("--runs-dir", tmp_path / "runs")
    (task / "initial").mkdir(parents=True)
    (task / "initial" / "main.py").write_text("def answer():\n    return 1\n")
    (task / "evaluate.py").write_text(SCORER)
    (task / "task.toml").write_text(TOML.format(aggregate=aggregate))
    made = ("--name", "a", "--max-variants", "1", "--sandbox", "local")
    assert evolve("run", task, *made, *runs).code == 0
    for _ in range(3):  # until the seed has its three attempts
        assert evolve("resume", "a", "--max-variants", "+1", *runs).code == 0
    about = pytest.approx(score)
    assert _seed(evolve("tree", "a", "--json", *runs).json())["score"] == about
    (row,) = evolve("ls", "--json", *runs).json()
    assert row["best"] == about
    verified = evolve("verify", "a", "--json", *runs)
    assert verified.code == 0, verified.err
    (case,) = verified.json()["cases"]
    assert case["score"] == case["recorded"] == about
    again = evolve("replay", "a", "--name", "b", "--sandbox", "local", *runs)
    assert "0 differences" in again.err + again.out


def _seed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["number"] == 0)


def test_agents_are_averaged(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(
        'name = "a"\ndescription = "a"\nkind = "agent"\naggregate = "median"\n'
    )
    (tmp_path / "initial").mkdir()
    done = evolve("eval", tmp_path)
    assert done.code != 0 and 'needs aggregate = "mean"' in done.err
