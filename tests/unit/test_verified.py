"""What `evolve verify` takes for a confirmation of a score."""

from __future__ import annotations

import pytest

from evolve.archive import Evaluation
from evolve.runs.verify import Verified


def verified(
    recorded: tuple[float, ...], now: tuple[float, ...], maximize: bool = True
) -> Verified:
    rows = tuple(Evaluation("main", "search", k, score) for k, score in enumerate(now))
    return Verified("main", "search", recorded, rows, maximize=maximize)


@pytest.mark.parametrize(
    ("recorded", "now", "holds"),
    [
        ((1.0,), (1.0,), True),
        ((1.0,), (1.0000001,), False),  # one attempt: nothing is known of noise
        ((1.0,), (0.9,), False),
        ((), (0.3,), True),
        ((1.0, 1.1, 0.9), (1.05, 0.95, 0.8), True),  # the intervals overlap
        ((1.0, 1.1, 0.9), (0.2, 0.21, 0.19), False),
        ((1.0, 1.1, 0.9), (3.0, 3.01, 2.99), True),  # better
    ],
)
def test_noise_is_taken_into_account(
    recorded: tuple[float, ...], now: tuple[float, ...], holds: bool
) -> None:
    assert verified(recorded, now).holds(0.0) is holds


def test_less_is_better_where_the_task_says_so() -> None:
    less = ((1.0, 1.1, 0.9), (0.2, 0.21, 0.19))
    assert verified(*less, maximize=False).holds(0.0)
    assert not verified(less[1], less[0], maximize=False).holds(0.0)


def test_a_tolerance_is_a_share_of_the_score() -> None:
    assert verified((1.0,), (0.95,)).holds(0.06)
    assert not verified((1.0,), (0.95,)).holds(0.04)


def test_a_failure_never_holds() -> None:
    row = Evaluation("main", "search", 0, None, reason="crash")
    assert not Verified("main", "search", (1.0,), (row,)).holds(1.0)


@pytest.mark.parametrize(
    ("high", "holds"), [(2.1, True), (2.0, True), (1.9, False), (5.0, True)]
)
def test_a_speed_holds_unless_it_is_surely_lower(high: float, holds: bool) -> None:
    row = Evaluation("main", "search", 0, 1.8, metrics={"ratio_high": high})
    assert Verified("main", "search", (2.0,), (row,), timed=True).holds(0.0) is holds
