"""Inputs made from recorded ones by small changes, the same ones for the same seed."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from typing import Any

Arguments = tuple[list[Any], dict[str, Any]]
_CHANGES = 3  # at most, of one input
_GREATEST = 10**6  # an integer grows to this, or to four times itself
_DEEPEST = 32  # levels that are gone down
_LONGEST = 4096  # items or characters that a value grows to
_TEXTS = ("", " ", "\n", "0", "a", "A", "\u00e9", "\u6f22", "-1", "None")
_SIZED = (str, bytes, list, tuple, dict, set)
_ITERATORS: dict[type, type] = {type(iter([])): list, type(iter(())): tuple}
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-9, 1e9, float("inf"), float("nan"))


def fuzzed(arguments: Arguments, seed: int) -> Arguments:
    """Return arguments with one to three changes, edge values among them.

    Args:
        arguments: Positional and named ones; they are used up.
        seed: The same number gives the same changes.

    Returns:
        The changed arguments.
    """
    rng = random.Random(seed)
    for _ in range(rng.randint(1, _CHANGES)):
        arguments = _changed(arguments, rng, _wide)
    return arguments


def varied(arguments: Arguments, seed: int, places: Sequence[int] = ()) -> Arguments:
    """Return arguments of the same size with a few leaves changed a little, for timing.

    Args:
        arguments: Positional and named ones; they are used up.
        seed: The same number gives the same changes.
        places: Numbers of the arguments that may change; none: all.

    Returns:
        The changed arguments.
    """
    rng = random.Random(seed)
    for _ in range(_CHANGES):
        arguments = _changed(arguments, rng, _gentle, places)
    return arguments


_Leaf = Callable[[Any, random.Random], Any]


def _changed(
    arguments: Arguments,
    rng: random.Random,
    leaf: _Leaf,
    places: Sequence[int] = (),
) -> Arguments:
    positional, named = arguments
    whole = [*positional, *named.values()]
    if not whole:
        return arguments
    at = rng.choice(places or _changeable(whole))
    whole[at] = _Changer(rng, leaf).of(whole[at])
    count = len(positional)
    return whole[:count], dict(zip(named, whole[count:], strict=True))


def _changeable(values: list[Any]) -> list[int]:
    """Return the places of values that can differ; all of them if there is none."""
    found = [
        at
        for at, value in enumerate(values)
        if not (value is None or type(value) is bool or callable(value))
        and not (isinstance(value, _SIZED) and len(value) == 0)
    ]
    return found or list(range(len(values)))


class _Changer:
    """Changes one part of a value.

    Args:
        rng: Draws the part and the change.
        leaf: Changes values without parts; `_gentle` keeps sizes, too.
    """

    def __init__(self, rng: random.Random, leaf: _Leaf) -> None:
        self._rng, self._leaf = rng, leaf
        self._wide = leaf is not _gentle
        self._depth = 0

    def of(self, value: Any) -> Any:
        """Return a value with one part changed; objects are changed in place."""
        self._depth += 1
        if self._depth > _DEEPEST:  # it may hold itself
            return value
        kind = type(value)
        if kind in (list, tuple):
            return kind(self._items(list(value)))
        if kind is dict:
            return self._mapping(value)
        if kind in (set, frozenset):
            return kind(self._items(sorted(value, key=repr)))
        if kind in _ITERATORS:
            return iter(_ITERATORS[kind](self._items(list(value))))
        if kind is range:
            return range(value.start, self._leaf(value.stop, self._rng), value.step)
        numpy = sys.modules.get("numpy")
        if numpy is not None and kind is numpy.ndarray and value.size:
            return self._array(value)
        fields = getattr(value, "__dict__", None)
        if type(fields) is dict and not isinstance(value, type) and fields:
            names = sorted(fields)
            name = names[self._rng.choice(_changeable([fields[key] for key in names]))]
            fields[name] = self.of(fields[name])
            return value
        return self._leaf(value, self._rng)

    def _items(self, items: list[Any]) -> list[Any]:
        how = self._rng.randrange(8) if self._wide else 8
        if how == 0:
            return []
        if not items:
            return [self._rng.choice((None, 0, ""))] if self._wide else items
        at = self._rng.randrange(len(items))
        if how == 1:
            return items[:at] + items[at + 1 :]
        if how == 2 and len(items) < _LONGEST:
            return [*items, items[at]]
        if how == 3:
            return items[::-1]
        if how == 4:
            return items[: at + 1]
        items[at] = self.of(items[at])
        return items

    def _mapping(self, value: dict[Any, Any]) -> dict[Any, Any]:
        if not value:
            return value
        chosen = self._rng.choice(list(value))
        if self._wide and self._rng.randrange(4) == 0:
            return {key: held for key, held in value.items() if key != chosen}
        return value | {chosen: self.of(value[chosen])}

    def _array(self, value: Any) -> Any:
        if self._wide and value.ndim and self._rng.randrange(4) == 0:
            return value[: self._rng.randrange(len(value) + 1)]
        changed = value.copy()
        at = self._rng.randrange(value.size)
        found = changed.flat[at].item()
        made = _gentle(found, self._rng)
        if type(made) is type(found):
            changed.flat[at] = made
        return changed


def _wide(value: Any, rng: random.Random) -> Any:
    """Return another value of the same type, often at an edge; others stay."""
    if type(value) is bool:
        return not value
    if type(value) is int:
        most = max(_GREATEST, 4 * abs(value))
        made = rng.choice((0, 1, -1, value + 1, value - 1, -value, 2 * value))
        return max(-most, min(most, made))
    if type(value) is float:
        return rng.choice((*_FLOATS, -value, value * 2, value + 1e-6))
    if type(value) is str:
        return _other_text(value, rng)
    if type(value) is bytes:
        text = _other_text(value.decode("latin-1"), rng)
        return text.encode("latin-1", "ignore")
    return value


def _other_text(text: str, rng: random.Random) -> str:
    how = rng.randrange(6)
    at = rng.randrange(len(text) + 1)
    if how == 0:
        return rng.choice(_TEXTS)
    if how == 1:
        return text[:at] + text[at + 1 :]
    if how == 2 and len(text) < _LONGEST:
        return text + text
    if how == 3:
        return text.swapcase()
    if how == 4:
        return text[:at]
    return text[:at] + rng.choice(_TEXTS) + text[at:]


def _gentle(value: Any, rng: random.Random) -> Any:
    """Return a value of the same type and size, a little different."""
    if type(value) is int:
        return value + rng.choice((-1, 1)) * rng.randint(1, max(2, abs(value) // 8))
    if type(value) is float:
        return value * (1 + rng.uniform(-0.1, 0.1)) if value else rng.random()
    if type(value) is str and value:
        return _one_letter(value, rng)
    if type(value) is bytes and value:
        at = rng.randrange(len(value))
        return value[:at] + bytes([rng.randrange(32, 127)]) + value[at + 1 :]
    return value


def _one_letter(text: str, rng: random.Random) -> str:
    """Return a text with one letter or digit replaced by another of its kind."""
    places = [at for at, sign in enumerate(text) if sign.isascii() and sign.isalnum()]
    if not places:
        return text
    at = rng.choice(places)
    old = text[at]
    letters = "abcdefghijklmnopqrstuvwxyz"
    kind = (
        "0123456789" if old.isdigit() else letters if old.islower() else letters.upper()
    )
    return text[:at] + rng.choice(kind) + text[at + 1 :]
