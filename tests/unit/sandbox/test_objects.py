"""The codec between evaluators and candidates: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evolve.sandbox.inside import objects, wire

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.fractions()
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
)
keys = st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.frozensets(st.integers(), max_size=4)
        | st.sets(st.text(), max_size=4)
    ),
    max_leaves=15,
)
arrays = hnp.arrays(
    st.sampled_from(["<f8", "<f4", ">f8", "<i8", "<u2", "|b1", "<c16", "<U3"]),
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
)


class Untrusting(objects.Codec):
    only_finite = True


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(
            same(left[key], right[key]) for key in left
        )
    return bool(left == right)


@given(values)
def test_values_come_back_as_they_went(value: Any) -> None:
    tree = wire.decode(wire.encode(objects.Codec().pack(value)))
    assert same(objects.Codec().unpack(tree), value)


@given(arrays)
def test_arrays_come_back_bit_by_bit(array: Any) -> None:
    tree = wire.decode(wire.encode(objects.Codec().pack(array)))
    back = objects.Codec().unpack(tree)
    assert (
        type(back) is np.ndarray
        and back.dtype == array.dtype
        and back.shape == array.shape
    )
    assert back.tobytes() == np.ascontiguousarray(array).tobytes()


@given(st.floats(), st.sampled_from([np.float32, np.float64]))
def test_numbers_of_numpy_keep_their_type(value: float, kind: Any) -> None:
    with np.errstate(over="ignore"):
        number = kind(value)
    back = objects.Codec().unpack(objects.Codec().pack(number))
    assert type(back) is kind and back.tobytes() == number.tobytes()


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        complex(0, math.nan),
        np.float64("nan"),
        np.array([1.0, math.inf]),
        [1.0, {"a": (2.0, math.nan)}],
        np.array([complex(math.inf, 0)]),
    ],
)
def test_what_is_not_finite_is_refused_by_who_does_not_trust(value: Any) -> None:
    tree = wire.decode(wire.encode(objects.Codec().pack(value)))
    objects.Codec().unpack(tree)
    with pytest.raises(objects.Malformed, match="not finite"):
        Untrusting().unpack(tree)


trees = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=3)
    | st.binary(max_size=9)
    | st.sampled_from(list("ldancfqrxheoy")),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


@given(trees)
def test_any_tree_is_read_or_refused(tree: Any) -> None:
    try:
        Untrusting().unpack(tree)
    except (objects.Malformed, ValueError):
        return


@pytest.mark.parametrize(
    "tree",
    [
        ["a", "|O", [1], b"12345678"],
        ["a", "<f8", [2], b"12345678"],
        ["a", "<f8", [-1], b"12345678"],
        ["a", "<f8", ["1"], b"12345678"],
        ["a", "f8,f8", [1], b"1" * 16],
        ["a", "|b1", [1], b"\x07"],
        ["q", 1, 0],
        ["r", 1, 2, 0],
        ["d", [["l"], 1]],
        ["s", ["l"]],
        [],
        [1],
        {"$": 1},
        ["k", 1],
        ["nope"],
    ],
)
def test_what_is_no_value(tree: Any) -> None:
    with pytest.raises(objects.Malformed):
        Untrusting().unpack(tree)


def test_what_can_not_be_sent() -> None:
    deep: list[Any] = []
    for _ in range(30):
        deep = [deep]
    for value in (object(), deep, np.array([object()]), open):
        with pytest.raises(objects.Unsendable):
            objects.Codec().pack(value)


def test_a_subclass_becomes_what_it_is_built_on() -> None:
    class Odd(float):
        def __add__(self, other: Any) -> Any:
            return 99.0

    class Text(str):
        __slots__ = ()

    assert type(objects.plain(Odd(1.5))) is float and objects.plain(Odd(1.5)) == 1.5
    assert type(objects.plain(Text("a"))) is str
    assert objects.plain(Fraction(1, 2)) == Fraction(1, 2)
