"""Numbers of candidates that break an evaluator's arithmetic, such as 1e308 or 10**400."""

import sys
from typing import Any

from evolve.candidate import Candidate
from evolve.sandbox.inside import wire

LARGE, SMALL = 1e100, 1e-100


class NotFiniteError(ValueError):
    """A score that is infinite or NaN."""


def breaks_by_its_numbers(error: BaseException, candidate: Candidate) -> bool:
    """Return whether an error of an evaluator is the fault of extreme numbers.

    Args:
        error: raised by the evaluator, or by the check of its score
        candidate: with the answers that it gave

    Returns:
        True for an overflow, or a score that is not finite, after an answer with a number
        beyond `LARGE` or nearer to 0 than `SMALL`. Other errors are the evaluator's own.
    """
    too_long = isinstance(error, ValueError) and "integer string conv" in str(error)
    overflow = isinstance(error, ArithmeticError) and not isinstance(
        error, ZeroDivisionError
    )
    if not (too_long or overflow or isinstance(error, NotFiniteError)):
        return False
    return any(_has_extreme(payload) for payload in candidate.answers)


def _has_extreme(payload: bytes) -> bool:
    try:
        left = [wire.decode(payload)]
    except wire.Malformed:
        return False
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            left += value
        elif _is_extreme(value):
            return True
    return False


def _is_extreme(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return bool(value) and not SMALL <= abs(value) <= LARGE
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or not value.size:
        return False
    sizes = numpy.abs(value.astype(float))
    return bool(((sizes > LARGE) | ((sizes > 0) & (sizes < SMALL))).any())
