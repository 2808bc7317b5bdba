"""Our quantiles against scipy's, which `ribs` brings into the tests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc
from scipy.stats import beta, t

from evolve.archive.quantiles import beta_quantile, incomplete_beta, student_quantile

SIZES = st.floats(0.5, 2000.0)


@pytest.mark.parametrize(
    "freedom", [*range(1, 60), 99, 100, 265, 1000, 10_000, 100_000]
)
@pytest.mark.parametrize("chance", [0.75, 0.95, 0.975, 0.9995])
def test_students_quantile_is_scipys(chance: float, freedom: int) -> None:
    assert student_quantile(chance, freedom) == pytest.approx(
        t.ppf(chance, freedom), rel=1e-12
    )


@given(st.floats(0.001, 0.999), SIZES, SIZES)
def test_the_quantile_of_a_beta_is_scipys(chance: float, a: float, b: float) -> None:
    assert beta_quantile(chance, a, b) == pytest.approx(
        beta.ppf(chance, a, b), rel=2e-11
    )


# nearer to 1 scipy loses digits: see below
@given(st.floats(0.0, 1.0 - 1e-9), SIZES, SIZES)
def test_the_incomplete_beta_is_scipys(x: float, a: float, b: float) -> None:
    assert incomplete_beta(x, a, b) == pytest.approx(
        betainc(a, b, x), rel=1e-11, abs=1e-15
    )


@pytest.mark.parametrize("cases", [1, 5, 40, 400])
def test_quantiles_of_promotion_at_the_ends(cases: int) -> None:
    """No case or every case was solved: the closed forms of Beta(1, n+1) and Beta(n+1, 1)."""
    root = 1 / (cases + 1)
    assert beta_quantile(0.1, 1.0, cases + 1.0) == pytest.approx(
        1 - 0.9**root, rel=1e-13
    )
    assert beta_quantile(0.1, cases + 1.0, 1.0) == pytest.approx(0.1**root, rel=1e-13)


def test_the_incomplete_beta_of_the_arcsine_law_is_right_next_to_one() -> None:
    """I_x(1/2, 1/2) = 2/π arcsin √x (DLMF 8.17.6 with the reflection 8.17.4)."""
    x = math.nextafter(1.0, 0.0)
    rest = 2.0 / math.pi * math.asin(math.sqrt(1.0 - x))
    assert incomplete_beta(x, 0.5, 0.5) == pytest.approx(1.0 - rest, rel=1e-15)
