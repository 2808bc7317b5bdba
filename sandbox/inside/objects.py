"""Values exchanged between peers' evaluators and candidates: more kinds, still no code.

A value becomes a *tree* of types that `wire` can send: scalars unchanged, everything
else as a list that begins with its kind. Each side defines by two hooks how its own
objects are sent: the other side gets a copy or a handle, and a handle that comes back
becomes the same object. Nothing is ever unpickled.

This file runs on both sides of the trust boundary, so it imports the standard library
only.
"""

from __future__ import annotations

import builtins
import datetime
import functools
import math
import operator
import re
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePosixPath
from typing import Any

from .wire import Malformed, Unsendable

MAX_DEPTH = 20  # of values; a level takes up to three levels of the wire
MAX_RANGE = 1_000_000  # a few bytes on the wire could become a list of any length
_SEQUENCES = {"l": list, "t": tuple, "s": set, "z": frozenset}
_SCALARS: tuple[Any, ...] = (int, float, str, bytes)
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
_KINDS = frozenset(
    "biufcUSmM"
)  # of numpy: booleans, numbers, text and times, never objects
_DTYPE = re.compile(r"[<>|](?:[biufcUS]\d{1,7}|[mM]8\[\d{0,6}[a-zA-Z]{1,2}\])")
# classes that are the same on both sides; to call one has no other effect than a copy
_CLASSES: tuple[Any, ...] = (
    *(bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset),
)
_COLLECTIONS: dict[str, Any] = {
    "OrderedDict": OrderedDict,
    "Counter": Counter,
    "defaultdict": defaultdict,
    "deque": deque,
}
# the evaluator's own module may have another one by now
_TIMES: dict[str, Any] = {
    name: getattr(datetime, name) for name in ("datetime", "date", "time", "timedelta")
}
_PATHS: dict[str, Any] = {
    "PosixPath": PosixPath,
    "PurePosixPath": PurePosixPath,
}


class Codec:
    """Converts values to trees and back; each side of a conversation has one.

    Attributes:
        only_finite: Whether to refuse numbers that are not finite, for the side that
            does not trust the other.
    """

    only_finite = False

    def pack(self, value: Any, depth: int = 0) -> Any:
        """Return the tree of a value.

        Args:
            value: The value.
            depth: Its nesting level.

        Returns:
            The tree.

        Raises:
            Unsendable: The value can't be sent, or is nested too deeply.
        """
        if depth > MAX_DEPTH:
            raise Unsendable(f"nested deeper than {MAX_DEPTH} levels")
        kind = type(value)
        if value is None or kind in (bool, int, str, bytes):
            return value
        if kind is float:
            return value if math.isfinite(value) else ["f", repr(value)]
        shared = self.pack_shared(value, depth)
        return self.pack_content(value, depth) if shared is None else shared

    def pack_content(self, value: Any, depth: int) -> Any:
        """Return the tree of a value's content, whether both sides hold it or not.

        Args:
            value: Anything but a plain value.
            depth: Its nesting level.

        Returns:
            The tree.

        Raises:
            Unsendable: The value can't be sent, or is nested too deeply.
        """
        kind = type(value)
        for tag, sequence in _SEQUENCES.items():
            if kind is sequence:
                return [tag, *(self.pack(item, depth + 1) for item in value)]
        if kind is dict:
            return [
                "d",
                *(
                    [self.pack(k, depth + 1), self.pack(v, depth + 1)]
                    for k, v in value.items()
                ),
            ]
        return self._pack_rare(value, kind, depth)

    def _pack_rare(self, value: Any, kind: type, depth: int) -> Any:
        if kind is complex:
            return ["c", self.pack(value.real), self.pack(value.imag)]
        if kind is range:
            return ["r", value.start, value.stop, value.step]
        if kind is Fraction:
            return ["q", value.numerator, value.denominator]
        if kind is bytearray:
            return ["y", bytes(value)]
        if kind in _COLLECTIONS.values():
            return self._pack_collection(value, kind, depth)
        tree = self._pack_constant(value, kind, depth) or _pack_numpy(value)
        return self.pack_other(value, depth) if tree is None else tree

    def _pack_constant(self, value: Any, kind: type, depth: int) -> list[Any] | None:
        """Return the tree of a value that never changes; None for others."""
        if kind is slice:
            parts = (value.start, value.stop, value.step)
            return ["S", *(self.pack(part, depth + 1) for part in parts)]
        if kind is Decimal:
            return ["D", str(value)]
        if value is ...:
            return ["E"]
        if kind.__module__ == "datetime" and kind.__name__ in _TIMES:
            return _pack_time(value, kind.__name__)
        if kind in _PATHS.values():
            return ["P", kind.__name__, str(value)]
        if isinstance(value, type) and is_common(value):
            return ["T", value.__name__]
        return None

    def pack_named(self, value: Any, depth: int) -> Any:
        """Return the tree of a named tuple, for a class that is not on the other side.

        Args:
            value: An instance of a class as `is_named_tuple` accepts it.
            depth: Its nesting level.

        Returns:
            The tree.
        """
        items = [self.pack(item, depth + 1) for item in value]
        return ["Q", type(value).__name__, list(value._fields), *items]

    def _pack_collection(self, value: Any, kind: type, depth: int) -> Any:
        extra = getattr(value, "maxlen", None) or getattr(
            value, "default_factory", None
        )
        content: Any = list(value) if kind is deque else dict(value)
        tree = self.pack_content(content, depth)
        return ["K", kind.__name__, self.pack(extra, depth + 1), tree]

    def unpack(self, tree: Any, depth: int = 0) -> Any:
        """Return the value of a tree.

        Args:
            tree: The tree.
            depth: Its nesting level.

        Returns:
            The value.

        Raises:
            Malformed: The tree is not valid, or is nested too deeply.
        """
        if depth > MAX_DEPTH:
            raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
        if not isinstance(tree, list):
            if isinstance(tree, (tuple, dict)):
                raise Malformed("a tree with other branches than lists")
            if isinstance(tree, (str, bytes)):
                self.note_text(tree)
            return tree
        if not tree or not isinstance(tree[0], str):
            raise Malformed("a list without its kind")
        tag, body = tree[0], tree[1:]
        if tag in _SEQUENCES:
            return self._built(
                _SEQUENCES[tag], [self.unpack(item, depth + 1) for item in body]
            )
        if tag == "d":
            return self._built(dict, [self._pair(pair, depth) for pair in body])
        return self._unpack_rare(tag, body, depth)

    def _unpack_rare(self, tag: str, body: list[Any], depth: int) -> Any:
        if tag == "f":
            value = float(self._of(body, str))
            if self.only_finite and not math.isfinite(value):
                raise Malformed(f"a number that is not finite: {value}")
            return value
        if tag == "c":
            parts = [self.unpack(part, depth + 1) for part in body]
            if [type(part) for part in parts] != [float, float]:
                raise Malformed("a complex number that is no pair of numbers")
            return complex(*parts)
        if tag == "r":
            return self._built_from(range, body, 3)
        if tag == "q":
            return self._built_from(Fraction, body, 2)
        if tag == "y":
            self.note_text(self._of(body, bytes))
            return bytearray(body[0])
        if tag in ("a", "n"):
            return self._unpack_numpy(tag, body)
        if tag in ("K", "Q", "S", "D", "W", "P", "T", "E"):
            return self._unpack_standard(tag, body, depth)
        return self.unpack_other(tag, body, depth)

    def _unpack_standard(self, tag: str, body: list[Any], depth: int) -> Any:
        """Return a value of a class of the standard library."""
        if tag == "K" and len(body) == 3:
            return self._unpack_collection(body, depth)
        if tag == "Q" and len(body) >= 2:
            return self._unpack_named(body, depth)
        if tag == "S" and len(body) == 3:
            return slice(*(self.unpack(part, depth + 1) for part in body))
        return self._unpack_constant(tag, body)

    def _unpack_named(self, body: list[Any], depth: int) -> Any:
        name, fields = body[:2]
        items = [self.unpack(item, depth + 1) for item in body[2:]]
        if (
            type(name) is not str
            or not isinstance(fields, list)
            or len(fields) != len(items)
            or not all(map(_is_public, [name, *fields]))
        ):
            raise Malformed("a named tuple that is none")
        return tuple.__new__(_named_tuple(name, tuple(fields)), items)

    def _unpack_collection(self, body: list[Any], depth: int) -> Any:
        name, extra = body[0], self.unpack(body[1], depth + 1)
        content = self.unpack(body[2], depth)
        if name == "deque" and type(content) is list:
            if extra is not None and (type(extra) is not int or extra < 0):
                raise Malformed("a deque with a length that is none")
            return deque(content, extra)
        if name not in _COLLECTIONS or type(content) is not dict:
            raise Malformed("a collection that is none")
        if name == "defaultdict":
            if extra is not None and not callable(extra):
                raise Malformed("a defaultdict without a function")
            return defaultdict(extra, content)
        return _COLLECTIONS[name](content)

    def _unpack_constant(self, tag: str, body: list[Any]) -> Any:
        """Return a value that never changes, from its text."""
        if any(type(part) is not str for part in body):
            raise Malformed("a constant without its text")
        for part in body:
            self.note_text(part)
        match tag, body:
            case "E", []:
                return ...
            case "T", [name]:
                found = getattr(builtins, name, None)
                if isinstance(found, type) and is_common(found):
                    return found
            case "P", [name, text] if name in _PATHS:
                return _PATHS[name](text)
            case "D", [text]:
                return self._decimal(text)
            case "W", [name, *parts] if name in _TIMES:
                return _time_of(name, parts)
        raise Malformed(f"a constant that is none: {body!r:.100}")

    def _decimal(self, text: str) -> Decimal:
        try:
            value = Decimal(text)
        except ArithmeticError:
            raise Malformed(f"a number that is none: {text:.100}") from None
        if self.only_finite and not value.is_finite():
            raise Malformed(f"a number that is not finite: {text:.100}")
        return value

    def _pair(self, pair: Any, depth: int) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Malformed("an entry that is no pair")
        return self.unpack(pair[0], depth + 1), self.unpack(pair[1], depth + 1)

    @staticmethod
    def _built(kind: Any, items: list[Any]) -> Any:
        try:
            return kind(items)
        except TypeError:
            raise Malformed("a key or a set's member that can't be one") from None

    @staticmethod
    def _built_from(kind: Any, numbers: list[Any], count: int) -> Any:
        if len(numbers) != count or any(type(number) is not int for number in numbers):
            raise Malformed(f"a {kind.__name__} that is none")
        try:
            value = kind(*numbers)
            if kind is range and len(value) > MAX_RANGE:
                raise Malformed(f"a range of more than {MAX_RANGE:,} numbers")
            return value
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise Malformed(f"a {kind.__name__} that is none: {error}") from None

    @staticmethod
    def _of(body: list[Any], kind: type) -> Any:
        if len(body) != 1 or type(body[0]) is not kind:
            raise Malformed("a value of another type than announced")
        return body[0]

    def _unpack_numpy(self, tag: str, body: list[Any]) -> Any:
        if (
            len(body) not in (3, 4)
            or not isinstance(body[0], str)
            or not isinstance(body[2], bytes)
        ):
            raise Malformed("an array that is none")
        text, shape, raw = body[:3]
        flags = body[3] if len(body) == 4 else ""
        if not isinstance(shape, list) or any(
            type(side) is not int or side < 0 for side in shape
        ):
            raise Malformed("an array with a shape that is none")
        try:
            import numpy

            if not _DTYPE.fullmatch(text):
                raise Malformed(f"an array of type {text:.20}")
            kind = numpy.dtype(text)
            if kind.itemsize == 0:
                raise Malformed(f"an array of type {text}")
            order: Any = "F" if "F" in flags else "C"
            array = numpy.frombuffer(raw, kind).reshape(shape).copy(order)
            array.flags.writeable = "R" not in flags
            if kind.kind == "b" and raw.strip(b"\0\1"):
                raise Malformed("an array of truth values with another one")
            if (
                self.only_finite
                and kind.kind in "fc"
                and not numpy.isfinite(array).all()
            ):
                raise Malformed("an array with numbers that are not finite")
        except (ImportError, TypeError, SyntaxError) as error:
            raise Malformed(f"an array that can't be read: {error}") from None
        except ValueError as error:
            raise Malformed(str(error)) from None
        if kind.kind in "US":
            self.note_text(
                raw.decode("utf-32-le" if kind.kind == "U" else "latin-1", "replace")
            )
        return array[()] if tag == "n" else array

    def note_text(self, text: str | bytes) -> None:
        """Note a text that arrived; a hook for the side that does not trust the other.

        Args:
            text: The text.
        """

    def pack_shared(self, value: Any, depth: int) -> Any:
        """Return the tree of a value that both sides hold; a hook.

        Args:
            value: Anything but a plain value.
            depth: Its nesting level.

        Returns:
            The tree; None for other values: always, by default.
        """
        return None

    def pack_other(self, value: Any, depth: int) -> Any:
        """Return the tree of an object of this side; a hook.

        Args:
            value: A value of a type that is not built in.
            depth: Its nesting level.

        Raises:
            Unsendable: The object can't be sent; always, by default.
        """
        raise Unsendable(
            f"a value of type {type(value).__module__}.{type(value).__qualname__}"
        )

    def unpack_other(self, tag: str, body: list[Any], depth: int) -> Any:
        """Return the value of a tree with a kind that is not built in; a hook.

        Args:
            tag: The kind.
            body: The rest of the tree.
            depth: Its nesting level.

        Raises:
            Malformed: The kind is unknown; always, by default.
        """
        raise Malformed(f"an unknown kind {tag[:20]!r}")


def _pack_numpy(value: Any) -> list[Any] | None:
    """Return the exact tree of an array or a numpy scalar; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
        return None
    is_number = isinstance(value, numpy.generic)
    if not is_number and type(value) is not numpy.ndarray:
        return None  # a copy would lack a mask, or compute in another way
    array = numpy.asarray(value)
    if array.dtype.kind not in _KINDS:
        return None
    tree = [
        "n" if is_number else "a",
        array.dtype.str,
        list(array.shape),
        numpy.ascontiguousarray(array).tobytes(),
    ]
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    is_fixed = not is_number and not array.flags.writeable
    flags = "F" * is_fortran + "R" * is_fixed
    return [*tree, flags] if flags else tree


def is_common(kind: type) -> bool:
    """Return whether both sides have the same class, which only makes plain values.

    Args:
        kind: Any class.

    Returns:
        True for exceptions and some classes that are built in.
    """
    return getattr(builtins, kind.__name__, None) is kind and (
        kind in _CLASSES or issubclass(kind, BaseException)
    )


def is_named_tuple(kind: type) -> bool:
    """Return whether a class is a plain named tuple.

    Args:
        kind: A class with `_fields`.

    Returns:
        False if it has other methods.
    """
    return kind.__bases__ == (tuple,) and set(vars(kind)) <= {*_OF_NAMED, *kind._fields}  # type: ignore[attr-defined]


_OF_NAMED = frozenset(vars(namedtuple("Example", ""))) | {"__annotations__"}


def _is_public(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_")


@functools.lru_cache(1000)
def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    """Return a class like one of `collections.namedtuple`, which would execute text."""

    def replaced(self: Any, /, **changes: Any) -> Any:
        unknown = changes.keys() - set(fields)
        if unknown:
            raise ValueError(f"Got unexpected field names: {sorted(unknown)!r}")
        return tuple.__new__(
            kind, [changes.get(f, v) for f, v in zip(fields, self, strict=True)]
        )

    def text(self: Any) -> str:
        pairs = zip(fields, self, strict=True)
        return f"{name}({', '.join(f'{field}={value!r}' for field, value in pairs)})"

    places = {field: property(operator.itemgetter(n)) for n, field in enumerate(fields)}
    own: dict[str, Any] = {
        "_fields": fields,
        "_asdict": lambda self: dict(zip(fields, self, strict=True)),
        "_replace": replaced,
        "__repr__": text,
        "__slots__": (),
    }
    kind = type(name, (tuple,), own | places)
    return kind


def _pack_time(value: Any, name: str) -> list[Any]:
    if name == "timedelta":
        parts = (value.days, value.seconds, value.microseconds)
        return ["W", name, *map(str, parts)]
    zone = getattr(value, "tzinfo", None)
    if getattr(value, "fold", 0) or type(zone) not in (
        type(None),
        datetime.timezone,
    ):
        raise Unsendable(f"a {name} in a time zone with rules")
    return ["W", name, value.isoformat()]


def _time_of(name: str, parts: list[str]) -> Any:
    try:
        if name == "timedelta":
            days, seconds, microseconds = map(int, parts)
            return _TIMES[name](days, seconds, microseconds)
        (text,) = parts
        return _TIMES[name].fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"a {name} that is none: {error}") from None


def plain(value: Any) -> Any:
    """Convert an instance of a subclass of a built-in type to that type.

    Args:
        value: Any value.

    Returns:
        The converted value; other values unchanged.
    """
    for scalar in _SCALARS:
        if isinstance(value, scalar):
            # the built-in addition, even if the subclass overrides it
            return scalar.__add__(value, scalar())
    for kind in _CONTAINERS:
        if isinstance(value, kind):
            return kind(value)
    return value
