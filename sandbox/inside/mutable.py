"""Mutable values that both sides of a conversation hold, and which of them have changed.

The evaluator numbers each mutable value that it sends to a function of the program, nested
ones, too. The program's process keeps its copies under these numbers for as long as the
program does, and reports after each call which of them have other content. This file runs on
both sides of the trust boundary, so it imports the standard library only.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

KINDS: tuple[type, ...] = (
    *(list, dict, set, bytearray),
    *(OrderedDict, Counter, defaultdict, deque),
)
MAX_HELD = 1000  # values of earlier calls that are watched
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_UNUSED = 2  # references: of the registry, and of the question


def is_array(value: Any) -> bool:
    """Return whether a value is exactly a numpy array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def is_mutable(value: Any) -> bool:
    """Return whether a value is exactly of `KINDS`, or a numpy array."""
    return type(value) in KINDS or is_array(value)


def content(value: Any) -> Any:
    """Return a shallow copy of a value's content, for `differs`.

    It is enough to see changes, as a nested mutable value is watched itself.

    Args:
        value: Of `KINDS`, an array, or an object with attributes.

    Returns:
        A list, a set, bytes, or the type, shape and bytes of an array.
    """
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, set):
        return value.copy()
    if isinstance(value, (list, deque)):
        return list(value)
    if isinstance(value, bytearray):
        return bytes(value)
    if is_array(value):
        return value.dtype.str, value.shape, value.tobytes()
    return list(vars(value).items())


def differs(before: Any, after: Any) -> bool:
    """Return whether two contents differ.

    Args:
        before: As `content` returns it.
        after: The same, later.

    Returns:
        False also if a plain value was replaced by an equal one of its type.
    """
    if not isinstance(before, list):
        return bool(before != after)
    return len(before) != len(after) or any(map(_is_another, before, after))


def _is_another(one: Any, other: Any) -> bool:
    if one is other:
        return False
    if type(one) is not type(other):
        return True
    if type(one) is tuple:
        return len(one) != len(other) or any(map(_is_another, one, other))
    if not isinstance(one, _PLAIN):
        return True
    both_nan = one != one and other != other
    return bool(one != other) and not both_nan


def refill(value: Any, new: Any) -> bool:
    """Give a value the content of another one; references to it stay valid.

    Args:
        value: Of `KINDS`, or an array.
        new: Of the same type.

    Returns:
        False if that is impossible: another type, or an array of another shape.
    """
    if type(value) is not type(new):
        return False
    if isinstance(value, (list, bytearray)):
        value[:] = new
    elif isinstance(value, deque):
        value.clear()
        value.extend(new)
    elif isinstance(value, dict):
        value.clear()
        for key, item in new.items():  # `update` of a Counter would add up
            value[key] = item
    elif isinstance(value, set):
        value.clear()
        value.update(new)
    elif value.flags.writeable and _is_alike(value, new):
        value[...] = new
    else:
        return False
    return True


def _is_alike(array: Any, other: Any) -> bool:
    return bool(array.shape == other.shape and array.dtype == other.dtype)


class Registry:
    """The copies in the program's process, by number.

    Attributes:
        values: Number -> copy.
    """

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}  # id -> number
        self._before: dict[int, Any] = {}
        self._own = 0

    def add(self, number: int, value: Any) -> None:
        """Register a copy.

        Args:
            number: Of the evaluator.
            value: The copy.
        """
        self.values[number] = value
        self._numbers[id(value)] = number

    def add_own(self, value: Any) -> int:
        """Register a value of this process that the evaluator gets a copy of.

        Args:
            value: Any mutable value.

        Returns:
            Its number, which the evaluator never gives.
        """
        self._own -= 1
        self.add(self._own, value)
        return self._own

    def number_of(self, value: Any) -> int | None:
        """Return the number of a registered value; None for any other."""
        return self._numbers.get(id(value))

    def remember(self) -> None:
        """Remember all content, from before the program works."""
        self._before = {number: content(value) for number, value in self.values.items()}

    def changed(self) -> list[int]:
        """Return the numbers of the values that have changed since the last report."""
        found = []
        for number, before in self._before.items():
            now = content(self.values[number])
            if differs(before, now):
                found.append(number)
            self._before[number] = now
        return found

    def prune(self) -> list[int]:
        """Forget values that only this registry still holds, and the oldest of many.

        Returns:
            The numbers of all others.
        """
        self._before = {}  # it refers to nested values
        many = len(self.values) - MAX_HELD
        # what holds others has the smaller number
        for place, number in enumerate(sorted(self.values, key=abs)):
            if place < many or sys.getrefcount(self.values[number]) <= _UNUSED:
                del self._numbers[id(self.values[number])]
                del self.values[number]
        return list(self.values)
