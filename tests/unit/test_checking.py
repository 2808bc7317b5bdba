"""What an attack on an evaluator is compared with."""

from __future__ import annotations

import pytest

from evolve.archive import Evaluation
from evolve.checking.baseline import Baseline
from evolve.evaluation.evaluator import Verdict


def baseline(*scores: float, answers: tuple[str, ...] = ()) -> Baseline:
    first, second = (
        Verdict((Evaluation("main", "search", 0, score),)) for score in (1.0, 1.5)
    )
    return Baseline(first, second, scores, answers)


@pytest.mark.parametrize(
    ("scores", "better", "as_good", "worse"),
    [
        ((1.0, 1.0), 1.000001, 1.0, 0.999999),
        ((1.0, 1.5), 2.6, 2.4, -0.1),  # few scores say little
        ((1.0, 1.1, 1.2, 1.3, 1.5), 2.1, 1.9, 0.4),
        ((0.0, 0.0), 1e-9, 0.0, -1e-9),
    ],
)
def test_better_is_what_the_seed_does_not_reach(
    scores: tuple[float, ...], better: float, as_good: float, worse: float
) -> None:
    seeds = baseline(*scores)
    assert seeds.better(better, True) and seeds.worse(worse, True)
    assert not seeds.better(as_good, True) and not seeds.worse(as_good, True)
    # where less is better
    assert seeds.better(worse, False) and seeds.worse(better, False)
    assert not seeds.better(as_good, False) and not seeds.worse(as_good, False)


def test_luck_is_what_does_not_come_again_with_the_same_answers() -> None:
    assert baseline(1.5, 1.5, 1.5, answers=("x",)).is_luck
    assert not baseline(1.5, 1.4, 1.5, answers=("x",)).is_luck  # the scorer varies, too
    assert not baseline(1.0, 1.5).is_luck
