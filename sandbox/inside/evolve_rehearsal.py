"""Transport of data without a candidate, to be measured: decode a tree, encode it again.

It runs in a sandbox that never sees a program, so that no candidate can influence how long
this takes. Objects that only a real process knows stay as they arrived.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from . import heap, mutable, objects

# an answer with changes, a view of an array, and a question with news
_WITH_TREES = ("C", "v", "I")


class _Kept(NamedTuple):
    """An object that only a real process knows."""

    tag: str
    body: list[Any]
    fields: list[Any]


class _Numbered(NamedTuple):
    """A mutable argument."""

    number: int
    value: Any
    content: Any


class _Codec(objects.Codec):
    """Decodes and encodes trees of both sides."""

    def unpack_other(self, tag: str, body: list[Any], depth: int) -> Any:
        if tag in ("M", "N"):
            value = self.unpack(body[1], depth)
            return _Numbered(body[0], value, mutable.content(value))
        if tag == "I":
            return _Kept("I", [self.unpack(body[2])], [])
        if tag == "C":
            tree, changes, *_ = body
            new = [[number, self.unpack(change)] for number, change in changes]
            return _Kept("C", [self.unpack(tree)], new)
        if tag == "v":
            return _Kept("v", [self.unpack(body[0], depth)], [])
        pairs = [part for part in body if isinstance(part, list)]
        fields = [[pair[0], self.unpack(pair[1], depth + 1)] for pair in pairs]
        return _Kept(tag, [part for part in body if not isinstance(part, list)], fields)

    def pack_other(self, value: Any, depth: int) -> Any:
        if isinstance(value, _Numbered):
            mutable.differs(value.content, mutable.content(value.value))
            return ["M", value.number, self.pack(value.value, depth)]
        if not isinstance(value, _Kept):
            return super().pack_other(value, depth)
        fields = [[name, self.pack(item, depth + 1)] for name, item in value.fields]
        body = value.body
        if value.tag in _WITH_TREES:
            body = [self.pack(part, depth + 1) for part in body]
        return [value.tag, *body, *fields]


_codec = _Codec()
_held: list[Any] = []
heap.keep()


def hold(tree: Any) -> None:
    """Decode a tree, as a candidate's process decodes a question.

    Args:
        tree: Any tree.
    """
    _held.append(_codec.unpack(tree))


def make() -> Any:
    """Return the reply for an answer that took no time.

    Returns:
        A tree.
    """
    return ["done", 0]


def fetch() -> Any:
    """Encode the tree that is held, as a candidate's process encodes an answer.

    Returns:
        The tree.
    """
    return ["ok", _codec.pack(_held.pop())]
