"""The wire: values come back as they were; no bytes do anything but decode or be refused."""

from __future__ import annotations

import json
import math
import struct

import numpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from evolve.sandbox.inside import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | TEXT
    | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = (
    st.booleans() | st.integers() | TEXT | st.binary() | st.tuples(st.integers(), TEXT)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.dictionaries(KEYS, inner) | st.tuples(inner, inner)
    ),
    max_leaves=30,
)
ARRAYS = arrays.arrays(
    st.sampled_from(
        ["?", "<i1", "<i4", "<i8", "<u2", "<u8", "<f4", "<f8", ">f8", ">i2"]
    ),
    arrays.array_shapes(min_dims=0, min_side=0),
    elements=None,
).filter(lambda a: a.dtype.kind != "f" or numpy.isfinite(a).all())


def written(tree: object, blobs: bytes = b"") -> bytes:
    """A value as a hostile sender may write it."""
    text = json.dumps(tree).encode()
    return struct.pack(">I", len(text)) + text + blobs


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    back = wire.decode(wire.encode(value))
    assert back == value and repr(back) == repr(value)


@given(ARRAYS)
def test_an_array_comes_back_as_it_was(array: numpy.ndarray) -> None:
    (back,) = wire.decode(wire.encode([array]))
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    assert (back == array).all() and back.flags.writeable


@given(st.binary(max_size=400))
@example(struct.pack(">I", 2**32 - 1))
@example(written({"$a": ["<f8", [0, 2**39, 2**39]]}))
@example(written({"$a": ["|b1", [2**39, 0]]}))
@example(written({"$a": ["<f8", []]}, b"\0" * 8))
@example(written([{"$d": [[{"$t": [[1]]}, 1]]}]))
def test_arbitrary_bytes_are_decoded_or_malformed(data: bytes) -> None:
    try:
        wire.decode(data)
    except wire.Malformed:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$t", "$d", "$b", "$a", "$x"]), inner, max_size=2
        )
    ),
    max_leaves=12,
)
NEAR = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {
            "$a": st.tuples(
                st.sampled_from(["<f8", "|b1", "|i1", "|O", "<U4"]),
                st.lists(st.integers(-2, 9), max_size=4),
            )
        }
    ),
)


@given(NEAR, st.binary(max_size=64))
def test_what_looks_like_a_value_is_decoded_or_malformed(
    tree: object, blobs: bytes
) -> None:
    try:
        wire.decode(written(tree, blobs))
    except wire.Malformed:
        return


@given(st.binary(max_size=200))
@example(b"[" * 60_000)
@example(b'{"a":' * 10_000)
@example(b"1" * 10_000)
@example(b"\xff\xfe[\0")
def test_an_arbitrary_header_is_an_object_or_malformed(data: bytes) -> None:
    try:
        assert isinstance(wire.parse_header(data), dict)
    except wire.Malformed:
        return


@pytest.mark.parametrize(
    "tree",
    [
        {"$a": ["|O", [1]]},
        {"$a": ["<U8", [1]]},
        {"$a": ["<c16", [1]]},
        {"$a": ["<f8", [-1]]},
        {"$a": ["<f8", [2**30, 2**30]]},
        {"$a": ["<f8", 1]},
        {"$a": [[], [1]]},
        {"$a": ["<f8", [1] * 33]},
        {"$b": -1},
        {"$b": 10**9},
        {"$b": True},
        {"$t": 1},
        {"$d": [[1]]},
        {"$d": [[[], 1]]},
        {"$x": 1},
        {},
        {"$t": [], "$d": []},
        "\ud800",
        {"$d": [["\udfff", 1]]},
        [[]] * (wire.MAX_CONTAINERS + 1),
    ],
    ids=lambda tree: str(tree)[:30],
)
def test_a_hostile_value_is_malformed(tree: object) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode(written(tree))


def test_a_shape_is_made_of_numbers() -> None:
    for side in (True, 1.0, "1", None):
        with pytest.raises(wire.Malformed):
            wire.decode(written({"$a": ["<f8", [side]]}, b"\0" * 8))
    assert wire.decode(written({"$a": ["<f8", [1]]}, b"\0" * 8)) == [0.0]


@pytest.mark.parametrize(
    "text",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"[1e999]",
        b"[" * 100 + b"]" * 100,
        b"[" * 100_000,
        b"9" * 5000,
        b"\xff",
    ],
)
def test_a_hostile_text_is_malformed(text: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode(struct.pack(">I", len(text)) + text)


def test_a_truth_value_is_one_of_two() -> None:
    """numpy takes any byte for a bool; a sum of them would be anything."""
    with pytest.raises(wire.Malformed):
        wire.decode(written({"$a": ["|b1", [1]]}, b"\xff"))


def test_an_array_with_numbers_that_are_not_finite_is_malformed() -> None:
    with pytest.raises(wire.Malformed):
        wire.decode(written({"$a": ["<f8", [1]]}, struct.pack("<d", math.nan)))


def test_bytes_left_over_are_malformed() -> None:
    with pytest.raises(wire.Malformed):
        wire.decode(wire.encode(1) + b"x")


class Sly(float):
    """A number that is larger than all others."""

    def __gt__(self, other: object) -> bool:
        return True

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


@pytest.mark.parametrize(
    "value",
    [
        Sly(1.0),
        1j,
        {1},
        object(),
        float("nan"),
        float("inf"),
        [numpy.array([numpy.nan])],
        numpy.array([Sly(1.0)], dtype=object),
        numpy.array(["x"]),
        numpy.array([1j]),
        eval,
        10**5000,
        type("Text", (str,), {})("x"),
        type("List", (list,), {})(),
        True.__class__,
        numpy.ma.array([1], mask=[True]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_value_is_unsendable(value: object) -> None:
    with pytest.raises(wire.Unsendable):
        wire.encode(value)


def test_deep_nesting_is_refused_on_both_sides() -> None:
    value: list[object] = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(wire.Unsendable):
        wire.encode(value)


def test_what_can_be_encoded_can_be_decoded_at_the_limit_of_depth() -> None:
    value: object = 1
    for _ in range(wire.MAX_DEPTH - 1):
        value = {"x": value}
    assert wire.decode(wire.encode(value)) == value


@pytest.mark.parametrize(
    "lengths", [(wire.MAX_HEADER_BYTES + 1, 0), (0, 1001), (2**32 - 1, 2**32 - 1)]
)
def test_a_frame_past_the_limits_is_malformed(lengths: tuple[int, int]) -> None:
    with pytest.raises(wire.Malformed):
        wire.frame_lengths(struct.pack(">II", *lengths), max_payload=1000)


@pytest.mark.parametrize(
    "header", [b"", b"1", b"[]", b"null", b"{", b'{"a":1}x', b"\x80", b'"x"']
)
def test_a_header_that_is_no_object_is_malformed(header: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.parse_header(header)
