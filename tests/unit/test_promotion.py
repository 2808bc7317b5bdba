"""Promotion's arithmetic: against values worked out by hand, against scipy, and under peeking."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import beta, betainc

from evolve.archive import Paired, drop_chance, e_value, lower_quantile, paired


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [
        (0, 0, 1.0),  # nothing seen, nothing known
        (1, 0, 1.5),  # 1/2 of C(2,0) + C(2,1)
        (6, 0, 127 / 7),
        (7, 0, 255 / 8),  # B(w+1, 1) = 1/(w+1), times 2^(w+1) - 1
    ],
)
def test_e_value_by_hand(wins: int, losses: int, expected: float) -> None:
    assert e_value(wins, losses) == pytest.approx(expected)


def test_e_value_is_the_formula() -> None:
    for wins, losses in [(10, 3), (0, 5), (30, 10), (40, 40)]:
        n = wins + losses
        formula = (
            2.0 ** (n + 1)
            * beta(wins + 1, losses + 1)
            * (1 - betainc(wins + 1, losses + 1, 0.5))
        )
        assert e_value(wins, losses) == pytest.approx(formula)


def test_who_peeks_after_every_case_is_fooled_in_fewer_than_one_of_twenty() -> None:
    rng, fooled, runs, cases = np.random.default_rng(1), 0, 1000, 150
    reached = {
        (w, n - w): e_value(w, n - w) >= 20
        for n in range(1, cases + 1)
        for w in range(n + 1)
    }
    for wins in rng.integers(0, 2, (runs, cases)).cumsum(axis=1).tolist():
        fooled += any(reached[won, n - won] for n, won in enumerate(wins, 1))
    assert 0 < fooled <= runs / 20


def test_pairs_are_cases_that_both_have() -> None:
    one, other = (
        {"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0},
        {"a": 0.0, "b": 1.0, "c": 1.0},
    )
    assert paired(one, other) == Paired(1, 1, 1)
    assert paired({"a": 1.0}, {"a": 2.0}, maximize=False) == Paired(1, 0, 0)


def test_a_few_good_cases_are_worth_less_than_many() -> None:
    assert (
        lower_quantile([1.0])
        < lower_quantile([1.0] * 9 + [0.0])
        < lower_quantile([1.0] * 10)
    )


def test_a_drop_is_significant_from_five_losses_on() -> None:
    assert drop_chance(0, 4) == 1 / 16 and drop_chance(0, 5) == 1 / 32 <= 0.05
