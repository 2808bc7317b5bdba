"""Quantiles of the Beta and Student's t distribution."""

import math
from functools import lru_cache

_CLOSE = 1e-15  # relative tolerance of the continued fraction and of the bracket
_STIRLING_FROM = 10.0  # below, the series of six terms is worse than `math.lgamma`
_TINY = 1e-300  # replaces a zero denominator
_STEPS = 10_000


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Return I_x(a, b), the probability that Beta(a, b) is below `x`.

    The continued fraction of DLMF 8.17.22 by Lentz's method, on the side where it
    converges fast (Press et al. 2007, Numerical Recipes, 6.4).

    Args:
        x: From 0 to 1; values outside are clipped.
        a: Positive.
        b: Positive.

    Returns:
        From 0 to 1.
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    weight = _weight(x, a, b)
    if x < (a + 1) / (a + b + 2):
        return weight * _fraction(x, a, b) / a
    return 1.0 - weight * _fraction(1.0 - x, b, a) / b


def beta_quantile(chance: float, a: float, b: float) -> float:
    """Return the x with I_x(a, b) = `chance`.

    Newton's method, with a bisection step where Newton's leaves the bracket.

    Args:
        chance: Probability, from 0 to 1.
        a: Positive.
        b: Positive.

    Returns:
        From 0 to 1.
    """
    low, high = 0.0, 1.0
    while high - low > _CLOSE * high:
        x = (low + high) / 2
        if x in (low, high):
            break
        low, high = (x, high) if incomplete_beta(x, a, b) < chance else (low, x)
    return high


@lru_cache(maxsize=1024)
def student_quantile(chance: float, freedom: int) -> float:
    """Return a quantile of Student's t distribution.

    t²/(freedom + t²) is Beta(1/2, freedom/2) (Press et al. 2007, eq. 6.14.10).

    Args:
        chance: Probability, more than one half.
        freedom: Degrees of freedom, at least 1.

    Returns:
        The t below which a share `chance` of the distribution lies.
    """
    share = beta_quantile(2.0 * chance - 1.0, 0.5, freedom / 2)
    if share < 0.5:
        return math.sqrt(freedom * share / (1.0 - share))
    # computing 1 - share would lose its last digits
    rest = beta_quantile(2.0 - 2.0 * chance, freedom / 2, 0.5)
    return math.sqrt(freedom * (1.0 - rest) / rest)


def _weight(x: float, a: float, b: float) -> float:
    """Return x^a (1-x)^b / B(a, b), without large logarithms that would cancel.

    With m = a/(a+b) it is sqrt(ab / (2π(a+b))) (x/m)^a ((1-x)/(1-m))^b exp(s(a+b) -
    s(a) - s(b)), where s is the error of Stirling's formula (DiDonato and Morris 1992,
    TOMS 708).
    """
    total = a + b
    powers = a * (math.log(x) + math.log1p(b / a)) + b * (
        math.log1p(-x) + math.log1p(a / b)
    )
    lacking = _beyond_stirling(total) - _beyond_stirling(a) - _beyond_stirling(b)
    return math.sqrt(a * b / (2.0 * math.pi * total)) * math.exp(powers + lacking)


def _beyond_stirling(z: float) -> float:
    """Return ln Γ(z) - (z - 1/2) ln z + z - ln sqrt(2π): DLMF 5.11.1 from ten on."""
    if z < _STIRLING_FROM:
        return (
            math.lgamma(z) - (z - 0.5) * math.log(z) + z - 0.5 * math.log(2.0 * math.pi)
        )
    square = 1.0 / (z * z)
    terms = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    total = 0.0
    for term in reversed(terms):
        total = total * square + term
    return total / z


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of DLMF 8.17.22, by the modified Lentz method."""
    first = _not_zero(1.0 - (a + b) * x / (a + 1.0))
    numerator, denominator = 1.0, 1.0 / first
    result = denominator
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for coefficient in (even, odd):
            denominator = 1.0 / _not_zero(1.0 + coefficient * denominator)
            numerator = _not_zero(1.0 + coefficient / numerator)
            result *= numerator * denominator
        if abs(numerator * denominator - 1.0) <= _CLOSE:
            break
    return result


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
