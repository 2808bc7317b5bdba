"""Any Python value as plain data that can be compared from outside.

Two values that a caller can't tell apart give equal data; another class, another order,
another float or another field gives other data. The data is made in the candidate's
process, so it is a claim: it can be forged only by who knows the right answer.
"""

from __future__ import annotations

import collections
import hashlib
import math
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

from . import wire

MOST_NODES = 200_000  # of one value
MOST_DRAWN = 10_000  # items of an iterator
MAX_DEPTH = 16  # deeper parts become a digest: the wire limits the depth
_NAMED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.MethodType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
)
_MAPPINGS = (dict, types.MappingProxyType)
_VIEWS: tuple[type[Iterable[Any]], ...] = (
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)


class TooLarge(ValueError):
    """A value has too many parts to be compared."""


def describe(value: Any) -> Any:
    """Return plain data that is equal for equal values only.

    Args:
        value: Any value; iterators are drawn from, up to `MOST_DRAWN` items.

    Returns:
        None, bool, int, str, bytes, finite floats, numeric arrays, lists, and tuples that
        begin with the name of a kind.

    Raises:
        TooLarge: It has more than `MOST_NODES` parts.
    """
    return _Describer().of(value, 0)


class _Describer:
    """One description; knows the containers that lead to the current part."""

    def __init__(self) -> None:
        self._nodes = 0
        self._path: dict[int, int] = {}

    def of(self, value: Any, depth: int) -> Any:
        """Return the description of one part."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise TooLarge(f"an answer has more than {MOST_NODES:,} parts")
        kind = type(value)
        if value is None or kind in (bool, int, str, bytes):
            return value
        if kind is float:
            return value if math.isfinite(value) else ("float", repr(value))
        if id(value) in self._path:
            return ("again", self._path[id(value)])
        if depth > MAX_DEPTH:
            below = wire.encode(self.of(value, 0))
            return ("deep", hashlib.sha256(below).digest())
        self._path[id(value)] = len(self._path)
        try:
            return self._of_parts(value, kind, depth + 1)
        finally:
            del self._path[id(value)]

    def _of_parts(self, value: Any, kind: type, depth: int) -> Any:
        if kind is list:
            return [self.of(part, depth) for part in value]
        if kind is tuple:
            return ("tuple", *(self.of(part, depth) for part in value))
        if kind in _MAPPINGS:
            return self._pairs(_name(kind), value, depth)
        if kind in (set, frozenset):
            return (_name(kind), *self._sorted(value, depth))
        if kind is bytearray:
            return ("bytearray", bytes(value))
        if isinstance(value, _NAMED):
            return ("name", str(getattr(value, "__module__", None)), _called(value))
        return self._of_numpy(value, depth) or self._of_class(value, kind, depth)

    def _of_class(self, value: Any, kind: type, depth: int) -> Any:
        if isinstance(value, _VIEWS):
            return (_name(kind), *(self.of(part, depth) for part in value))
        if isinstance(value, Iterator):
            return ("iterator", *self._drawn(value, depth))
        return self._of_object(value, kind, depth)

    def _pairs(self, name: str, value: Any, depth: int) -> Any:
        pairs = dict.items(value) if isinstance(value, dict) else value.items()
        return (
            name,
            *([self.of(key, depth), self.of(held, depth)] for key, held in pairs),
        )

    def _sorted(self, value: Any, depth: int) -> list[Any]:
        """Return the parts of a set; their order means nothing."""
        return sorted((self.of(part, depth) for part in value), key=repr)

    def _drawn(self, value: Iterator[Any], depth: int) -> Iterator[Any]:
        for count, part in enumerate(value):
            if count == MOST_DRAWN:
                yield ("and", "more")
                return
            yield self.of(part, depth)

    def _of_numpy(self, value: Any, depth: int) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return None
        if isinstance(value, numpy.generic):
            return (_name(type(value)), self.of(value.item(), depth))
        if type(value) is not numpy.ndarray:
            return None
        if value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
            return ("array", value)
        return ("array", str(value.dtype), self.of(value.tolist(), depth))

    def _of_object(self, value: Any, kind: type, depth: int) -> Any:
        """Return class, content as a builtin, and fields of an object."""
        parts: list[Any] = ["object", _name(kind)]
        known = False
        if isinstance(value, dict):
            parts.append(self._pairs("dict", value, depth))
            known = True
        elif isinstance(value, (list, tuple, collections.deque)):
            parts.append([self.of(part, depth) for part in list(value)])
            known = True
        elif isinstance(value, (set, frozenset)):
            parts.append(self._sorted(value, depth))
            known = True
        elif isinstance(value, (int, float, str, bytes)):
            parts.append(self.of(_base(value), depth))
            known = True
        if isinstance(value, BaseException):
            parts.append(self.of(list(value.args), depth))
            known = True
        fields = _fields(value)
        if fields or known:
            parts.append(self._pairs("fields", fields, depth))
            return tuple(parts)
        return (*parts, *self._reduced(value, depth))

    def _reduced(self, value: Any, depth: int) -> Any:
        """Return what pickle would keep of an object that has no fields."""
        try:
            reduced = value.__reduce_ex__(2)
        except Exception:  # noqa: BLE001 - any class may refuse in its own way
            return ["opaque"]
        if isinstance(reduced, str):
            return [reduced]
        return [self.of(part, depth) for part in reduced[:3]]


def _name(kind: type) -> str:
    module = kind.__module__
    return (
        kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    )


def _called(value: Any) -> str:
    return str(getattr(value, "__qualname__", None) or getattr(value, "__name__", ""))


def _base(value: int | float | str | bytes) -> Any:
    """Return the content of an instance of a subclass of a builtin type."""
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return str.__str__(value) if isinstance(value, str) else bytes(memoryview(value))


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of an object: its dictionary and its slots."""
    fields = dict(getattr(value, "__dict__", None) or {})
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{kind.__name__.lstrip('_')}{name}"
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                fields[name] = getattr(value, name)
    return fields
