"""The test of signed ranks, its estimate and interval, and decisions that are looked at often."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from evolve.timing import Plan, judge
from evolve.timing.decision import FUTILE_AFTER, is_hopeless
from evolve.timing.noise import noise_of
from evolve.timing.signed_rank import estimate, interval, p_greater

DISTINCT = st.lists(
    st.integers(-1000, 1000).filter(bool), min_size=3, max_size=20, unique_by=abs
)


@given(DISTINCT)
def test_the_p_value_is_that_of_scipy(values: list[int]) -> None:
    found = wilcoxon(values, alternative="greater", method="exact").pvalue
    assert p_greater(values) == pytest.approx(found, rel=1e-12)


def test_too_few_blocks_are_never_sure() -> None:
    assert p_greater([]) == 1.0
    assert p_greater([1.0] * 5) == 1 / 32


@given(DISTINCT)
def test_the_estimate_is_inside_of_the_interval_and_moves_with_the_data(
    values: list[int],
) -> None:
    low, high = interval(values)
    assert low <= estimate(values) <= high
    moved = [value + 7 for value in values]
    assert estimate(moved) == estimate(values) + 7
    assert interval(moved) == (low + 7, high + 7)


def test_the_interval_is_that_of_the_tables() -> None:
    """Conover 1999, "Practical nonparametric statistics", table A12: n = 8, the fourth."""
    assert interval(range(1, 9)) == (2.0, 7.0)


def test_the_interval_misses_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(1000):
        low, high = interval(rng.standard_t(3, size=20))
        missed += not low <= 0 <= high
    assert 25 <= missed <= 75


def kept_by(plan: Plan, gain: float, rng: np.random.Generator) -> bool:
    """Whether a variant is kept that is looked at as in a run, with noise of 1.5 %."""
    values: list[float] = []
    noise = rng.standard_t(4, size=plan.looks[-1]) * 0.015
    for value in noise + math.log1p(gain):
        values.append(value)
        if len(values) in plan.looks and judge(values, plan).sure:
            return True
        if is_hopeless(values, plan):
            return False
    return False


def test_no_ops_are_hardly_ever_kept_and_gains_are_found() -> None:
    rng = np.random.default_rng(2)
    plan = Plan()
    no_ops = sum(kept_by(plan, 0.0, rng) for _ in range(2000))
    assert no_ops <= 16  # 0.5 % of them are 10: more than 16 has a probability of 3 %
    small = sum(kept_by(plan, 0.02, rng) for _ in range(200))
    large = sum(kept_by(plan, 0.1, rng) for _ in range(200))
    assert small >= 150 and large == 200


def test_many_looks_at_heldout_inputs_err_with_five_percent_together() -> None:
    errors = [Plan.confirmation(look).error for look in range(1, 10_000)]
    assert errors == sorted(errors, reverse=True)
    assert 0.0499 < sum(errors) < 0.05


def test_what_is_clearly_slower_is_given_up_at_once() -> None:
    assert not is_hopeless([-0.3] * 3, Plan())
    assert is_hopeless([-0.3] * 4, Plan())
    assert not is_hopeless([-0.3] * 3 + [0.0], Plan())


def test_a_gain_below_what_is_worthwhile_is_given_up() -> None:
    tiny = [0.004 + 0.0001 * k for k in range(FUTILE_AFTER)]
    assert is_hopeless(tiny, Plan())
    assert not is_hopeless(tiny, replace(Plan(), worthwhile=0.003))


def test_a_gain_within_the_margin_is_none() -> None:
    values = [0.0029 + 1e-6 * k for k in range(26)]
    assert not judge(values, Plan()).sure
    assert judge([value + 0.001 for value in values], Plan()).sure


def test_the_noise_floor_is_that_of_the_data_and_bursts_do_not_count() -> None:
    rng = np.random.default_rng(3)
    values = [*rng.normal(0, 0.02, size=200), *[3.0] * 10]
    found = noise_of(values, seconds=21.0)
    assert found.deviation == pytest.approx(0.02, rel=0.2)
    assert found.unit_s == pytest.approx(0.1)
    # by the formula: (3.19 + 0.84) * 1.023 * 0.02 / sqrt(25), and the margin
    assert found.detectable(25, Plan()) == pytest.approx(0.0195, rel=0.2)
    assert found.detectable(100, Plan()) < found.detectable(25, Plan())
