"""Values exchanged between peers' evaluators and candidates: more kinds, still no code.

A value becomes a *tree* of types that `wire` can send: scalars unchanged, everything
else as a list that begins with its kind. Each side defines by two hooks how its own
objects are sent: the other side gets a copy or a handle, and a handle that comes back
becomes the same object. Nothing is ever unpickled.

This file runs on both sides of the trust boundary, so it imports the standard library
only.
"""

from __future__ import annotations

import math
import re
import sys
from fractions import Fraction
from typing import Any

from .wire import Malformed, Unsendable

MAX_DEPTH = 20  # of values; a level takes up to three levels of the wire
MAX_RANGE = 1_000_000  # a few bytes on the wire could become a list of any length
_SEQUENCES = {"l": list, "t": tuple, "s": set, "z": frozenset}
_SCALARS: tuple[Any, ...] = (int, float, str, bytes)
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
_KINDS = frozenset("biufcUS")  # of numpy: booleans, numbers and text, never objects
_DTYPE = re.compile(r"[<>|][biufcUS]\d{1,7}")


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
        tree = _pack_numpy(value)
        return self.pack_other(value, depth) if tree is None else tree

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
        return self.unpack_other(tag, body, depth)

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
            len(body) != 3
            or not isinstance(body[0], str)
            or not isinstance(body[2], bytes)
        ):
            raise Malformed("an array that is none")
        text, shape, raw = body
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
            array = numpy.frombuffer(raw, kind).reshape(shape).copy()
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
    array = numpy.asarray(value)
    if array.dtype.kind not in _KINDS:
        raise Unsendable(f"an array of type {array.dtype}")
    tag = "n" if isinstance(value, numpy.generic) else "a"
    return [
        tag,
        array.dtype.str,
        list(array.shape),
        numpy.ascontiguousarray(array).tobytes(),
    ]


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
