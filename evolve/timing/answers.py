"""Equality of a variant's answer and the reference's."""

import math
from typing import Any

import numpy as np


def same(answer: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """Return whether two answers are equal, types and order included.

    Args:
        answer: Plain data, as it crosses the wire.
        expected: The reference's.
        tolerance: Relative error that floats may have.

    Returns:
        False for another type, length, key or value.
    """
    if type(answer) is not type(expected):
        return False
    if isinstance(expected, float):
        return math.isclose(answer, expected, rel_tol=tolerance, abs_tol=0.0)
    if isinstance(expected, np.ndarray):
        return _same_arrays(answer, expected, tolerance)
    if isinstance(expected, dict):
        return list(answer) == list(expected) and all(
            same(answer[key], expected[key], tolerance) for key in expected
        )
    if isinstance(expected, list | tuple):
        return len(answer) == len(expected) and all(
            same(ours, theirs, tolerance)
            for ours, theirs in zip(answer, expected, strict=True)
        )
    return bool(answer == expected)


def _same_arrays(
    answer: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], tolerance: float
) -> bool:
    if answer.dtype != expected.dtype or answer.shape != expected.shape:
        return False
    if expected.dtype.kind == "f":
        return bool(
            np.allclose(answer, expected, rtol=tolerance, atol=0.0, equal_nan=True)
        )
    return bool(np.array_equal(answer, expected))
