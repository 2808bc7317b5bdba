"""Values as plain data: what a caller can tell apart differs, and nothing else."""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from evolve.sandbox.inside import wire
from evolve.sandbox.inside.canonical import MOST_DRAWN, TooLarge, describe

Pair = namedtuple("Pair", "a b")


@dataclass
class Point:
    x: float
    y: Any = None


class Slotted:
    __slots__ = ("__hidden", "seen")

    def __init__(self, seen: int, hidden: int = 0) -> None:
        self.seen, self.__hidden = seen, hidden


class Named(str):
    pass


def knotted() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def deep(levels: int, last: int) -> Any:
    value: Any = last
    for _ in range(levels):
        value = [value]
    return value


MADE = {
    "None": lambda: None,
    "False": lambda: False,
    "0": lambda: 0,
    "0.0": lambda: 0.0,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "text": lambda: "a",
    "a subclass of text": lambda: Named("a"),
    "bytes": lambda: b"a",
    "bytearray": lambda: bytearray(b"a"),
    "list": lambda: [1, 2],
    "tuple": lambda: (1, 2),
    "a tuple that looks like ours": lambda: ("tuple", 1, 2),
    "a named tuple": lambda: Pair(1, 2),
    "deque": lambda: deque([1, 2]),
    "set": lambda: {1, 2},
    "frozenset": lambda: frozenset({1, 2}),
    "dict": lambda: {1: 2, 3: 4},
    "dict in another order": lambda: {3: 4, 1: 2},
    "ordered dict": lambda: OrderedDict({1: 2, 3: 4}),
    "counter": lambda: Counter("aab"),
    "view": lambda: {1: 2}.keys(),
    "iterator": lambda: iter([1, 2]),
    "generator": lambda: (n for n in (1, 2, 3)),
    "array": lambda: np.array([1, 2]),
    "array of another type": lambda: np.array([1.0, 2.0]),
    "array of another shape": lambda: np.array([[1, 2]]),
    "array of texts": lambda: np.array(["a", "b"]),
    "a number of numpy": lambda: np.int64(1),
    "object": lambda: Point(1.0),
    "object with another field": lambda: Point(1.0, 2),
    "slots": lambda: Slotted(1),
    "hidden slot": lambda: Slotted(1, 2),
    "date": lambda: date(2026, 1, 2),
    "decimal": lambda: Decimal("1.0"),
    "another decimal": lambda: Decimal("1.00"),
    "fraction": lambda: Fraction(1, 3),
    "path": lambda: PurePosixPath("a/b"),
    "function": lambda: itertools.chain,
    "class": lambda: Point,
    "exception": lambda: ValueError("a"),
    "another exception": lambda: ValueError("b"),
    "holds itself": knotted,
    "complex": lambda: 1j,
    "deep": lambda: deep(40, 1),
    "deep with another end": lambda: deep(40, 2),
}


def test_each_value_is_sent_and_differs_from_all_others() -> None:
    found = {name: wire.encode(describe(made())) for name, made in MADE.items()}
    assert len(set(found.values())) == len(MADE)


@pytest.mark.parametrize("name", sorted(MADE))
def test_an_equal_value_gives_equal_data(name: str) -> None:
    first, second = MADE[name](), MADE[name]()
    assert wire.encode(describe(first)) == wire.encode(describe(second))


def test_the_order_of_a_set_means_nothing() -> None:
    names = [8 * n for n in range(50)]  # with equal places in the table
    other = set(reversed(names))  # noqa: C414 - another order of insertion
    assert describe(set(names)) == describe(other)


def test_values_without_end() -> None:
    endless = describe(itertools.count())
    assert len(endless) == MOST_DRAWN + 2 and endless[-1] == ("and", "more")
    with pytest.raises(TooLarge):
        describe([[n] for n in range(200_000)])
