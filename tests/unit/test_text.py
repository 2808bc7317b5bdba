"""Numbers that a person compares have as many digits as it takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.text import told_apart


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((4.39, 93.7), ["4.39", "93.7"]),
        ((123456789.0, 123456789.3), ["123456789", "123456789.3"]),
        ((2.63586, 2.6358561), ["2.63586", "2.635856"]),
        ((3.0, 2.999999), ["3", "2.999999"]),
        ((1.0, None), ["1", "–"]),
        ((1.0, 1.0), ["1", "1"]),
        ((math.inf, 1.0), ["inf", "1"]),
        ((), []),
    ],
)
def test_enough_digits(numbers: tuple[float | None, ...], shown: list[str]) -> None:
    assert told_apart(*numbers) == shown


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_different_numbers_are_different_texts(numbers: list[float]) -> None:
    texts = told_apart(*numbers)
    assert len(set(map(float, texts))) == len(set(numbers))
