"""Blocks, what is charged in them, and when measuring ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evolve.timing import Plan, Speed, same
from evolve.timing.blocks import Block, Side, hidden_ns, log_ratios
from evolve.timing.measurement import MAX_CALLS, TURN_NS, TURNS, Measurement, measure

MS = 1_000_000
NO_ECHO = Side((0,) * TURNS, (0,) * TURNS, 0)


def side(call_ms: float, outside_ms: float = 5.0, wall_ms: float | None = None) -> Side:
    cpu = (round(call_ms * MS),) * TURNS
    wall = cpu if wall_ms is None else (round(wall_ms * MS),) * TURNS
    return Side(wall, cpu, round(outside_ms * MS))


def test_the_ratio_is_reference_over_variant() -> None:
    blocks = [Block(side(10), side(20), NO_ECHO)] * 3
    assert log_ratios(blocks, "cpu") == pytest.approx([math.log(2)] * 3)


def test_the_cost_of_encoding_is_subtracted_from_both() -> None:
    block = Block(side(12), side(22), side(2))
    assert log_ratios([block], "cpu") == pytest.approx([math.log(2)])


def test_encoding_never_takes_more_than_half_of_a_time() -> None:
    block = Block(side(1), side(1), side(5))
    assert log_ratios([block], "cpu") == pytest.approx([0.0])


def test_work_outside_of_the_calls_is_charged() -> None:
    """30 ms before the calls are 7.5 ms in each of the four turns."""
    blocks = [Block(side(2.5, outside_ms=35), side(10), NO_ECHO)] * 5
    assert hidden_ns(blocks) == pytest.approx(30 * MS)
    assert log_ratios(blocks, "cpu") == pytest.approx([0.0] * 5)


def test_less_work_outside_is_no_gain() -> None:
    blocks = [Block(side(10, outside_ms=1), side(10, outside_ms=50), NO_ECHO)] * 5
    assert log_ratios(blocks, "cpu") == pytest.approx([0.0] * 5)


def test_noise_of_what_is_outside_is_not_charged() -> None:
    rng = np.random.default_rng(0)
    noisy = [
        Block(side(10, 50 + rng.normal()), side(10, 50 + rng.normal()), NO_ECHO)
        for _ in range(30)
    ]
    assert hidden_ns(noisy) < 0.2 * MS


def test_a_burst_of_load_on_one_turn_does_not_count() -> None:
    burst = Side((10 * MS,) * 3 + (500 * MS,), (10 * MS,) * 3 + (500 * MS,), 0)
    assert log_ratios([Block(burst, side(10, 0), NO_ECHO)], "cpu") == [0.0]


def test_wall_time_is_at_least_cpu_time() -> None:
    """So work in parallel is not faster than it is on one processor."""
    parallel = side(10, wall_ms=5)
    block = Block(parallel, side(10), NO_ECHO)
    assert log_ratios([block], "wall") == pytest.approx([0.0])
    waiting = Block(side(1, wall_ms=10), side(1, wall_ms=20), NO_ECHO)
    assert log_ratios([waiting], "wall") == pytest.approx([math.log(2)])
    assert log_ratios([waiting], "cpu") == pytest.approx([0.0])


class Machine:
    """Runs blocks with given times of a call and a noise of 1 %."""

    def __init__(self, variant_ms: float, reference_ms: float = 20.0) -> None:
        self.times = variant_ms, reference_ms
        self.calls: list[int] = []
        self.rng = np.random.default_rng(4)

    def __call__(self, calls: int) -> Block:
        self.calls.append(calls)
        ours, theirs = (
            side(ms * calls * math.exp(self.rng.normal(0, 0.01))) for ms in self.times
        )
        return Block(ours, theirs, NO_ECHO)


def measured(variant_ms: float, plan: Plan | None = None) -> Measurement:
    return measure(Machine(variant_ms), plan or Plan(), "cpu")


def test_a_gain_is_sure_at_a_look() -> None:
    found = measured(18.0)
    assert found.finding.sure and found.finding.blocks == 12
    assert found.finding.ratio == pytest.approx(20 / 18, rel=0.02)
    assert found.finding.low < 20 / 18 < found.finding.high
    assert found.variant_s == pytest.approx(0.018, rel=0.02)
    assert found.reference_s == pytest.approx(0.02, rel=0.02)


def test_a_no_op_is_given_up_soon_and_what_is_slow_at_once() -> None:
    assert not measured(20.0).finding.sure
    assert measured(20.0).finding.blocks <= 40
    assert measured(30.0).finding.blocks == 4


def test_time_is_limited() -> None:
    found = measured(19.9, Plan(longest_s=-1.0))
    assert found.finding.blocks == 1 and not found.finding.sure


def test_a_confirmation_runs_all_its_blocks() -> None:
    assert measured(30.0, Plan.confirmation(1)).finding.blocks == 30


def test_fast_functions_are_called_often_in_a_turn() -> None:
    for call_ms, fewest, most in (
        (20.0, 1, 1),
        (0.5, 8, 32),
        (1e-5, MAX_CALLS, MAX_CALLS),
    ):
        machine = Machine(call_ms, call_ms)
        measure(machine, Plan(), "cpu")
        assert fewest <= machine.calls[-1] <= most
        if machine.calls[-1] < MAX_CALLS:
            assert machine.calls[-1] * call_ms * MS >= TURN_NS / 2


def test_without_a_sure_gain_the_score_is_at_most_that_of_the_reference() -> None:
    lucky = measured(19.95)
    assert not lucky.finding.sure
    assert Speed(lucky, 1.3).score <= 1.3
    sure = measured(10.0)
    assert Speed(sure, 1.5).score == pytest.approx(3.0, rel=0.02)
    assert Speed(sure, 1.5, identical=True).score == 1.5
    assert "x faster" in Speed(sure, 1.5).feedback


@pytest.mark.parametrize(
    ("answer", "expected", "tolerance", "equal"),
    [
        (1, 1, 0.0, True),
        (1, 1.0, 0.0, False),
        (True, 1, 0.0, False),
        (1.0, 1.0 + 1e-12, 0.0, False),
        (1.0, 1.0 + 1e-12, 1e-9, True),
        ([1, 2], (1, 2), 0.0, False),
        ([1, [2.0]], [1, [2.0]], 0.0, True),
        ([1], [1, 2], 0.0, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, 0.0, False),
        ({"a": 1}, {"a": 1}, 0.0, True),
        (np.array([1, 2]), np.array([1, 2]), 0.0, True),
        (np.array([1.0]), np.array([1.0 + 1e-12]), 1e-9, True),
        (np.array([1.0]), np.array([1.0 + 1e-12]), 0.0, False),
        (np.array([1], dtype="i4"), np.array([1], dtype="i8"), 0.0, False),
        (np.zeros((1, 2)), np.zeros((2, 1)), 0.0, False),
    ],
)
def test_answers_are_equal_with_type_and_order(
    answer: object, expected: object, tolerance: float, equal: bool
) -> None:
    assert same(answer, expected, tolerance) is equal
