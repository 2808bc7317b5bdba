"""Pairs of fenced blocks, the old lines and the new ones, each named by the line above it."""

from collections.abc import Iterator
from itertools import pairwise

from evolve.operators.edits.fences import Block, fenced_blocks
from evolve.operators.edits.places import Change, Reading

_OLD = (
    *("search", "find", "find this", "replace this", "original", "original code"),
    *("old", "old code", "before", "current", "current code", "existing code"),
)
_NEW = (
    *("replace", "replace with", "replace it with", "with", "with this", "replacement"),
    *("new", "new code", "updated", "updated code", "after", "modified", "by"),
)


def labelled_changes(reply: str) -> list[Change]:
    """Return the changes that a reply shows as pairs of blocks.

    Args:
        reply: the model's text

    Returns:
        One change per pair, such as a block below "Before:" and the next one below
        "After:"; empty if a block has only one of the two labels.
    """
    blocks = fenced_blocks(reply)
    pairs = list(_pairs(blocks))
    paired = {id(block) for pair in pairs for block in pair}
    if any(
        _label(block) in (*_OLD, *_NEW) and id(block) not in paired for block in blocks
    ):
        return []
    return [
        Change(
            (Reading(_lines(old), _lines(new)),),
            "",
        )
        for old, new in pairs
    ]


def _pairs(blocks: tuple[Block, ...]) -> Iterator[tuple[Block, Block]]:
    for old, new in pairwise(blocks):
        if _label(old) in _OLD and _label(new) in _NEW and new.closed:
            yield old, new


def _label(block: Block) -> str:
    return " ".join(block.before.strip("#*_:-.`> \t").lower().split())


def _lines(block: Block) -> tuple[str, ...]:
    return tuple(block.text.removesuffix("\n").split("\n"))
