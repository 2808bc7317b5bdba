"""The outer form of a reply: prose and fenced blocks."""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from evolve.operators.edits.lines import FENCE, lines_of

# a fence with a language at the end of a line of prose
_GLUED = re.compile(r"^[^`\n]*[^`\s][ \t]*(```)[ \t]*([A-Za-z][\w+#]*)$")
_DEEPER = 4  # a fence that is indented by this much more belongs to the text
MAX_LONGER = 8  # later ends of a block that are tried


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        text: its content, without the indentation of its fence
        before: the line above it, which may name a file
        info: the text after the opening fence, which may name a language or file
        closed: whether it has a closing fence
        first: number of the reply's line after the opening fence, counted from 0
        part: whether it is surely a part of the program, whose rest stays
    """

    text: str
    before: str = ""
    info: str = ""
    closed: bool = True
    first: int = field(default=0, compare=False)
    part: bool = False

    @property
    def language(self) -> str:
        """The first word after the opening fence, in lower case; empty if missing."""
        return re.split(r"[\s:{,]", self.info, maxsplit=1)[0].lower()


@dataclass(frozen=True)
class _Layout:
    """The blocks of a reply, and the lines outside them."""

    blocks: tuple[Block, ...]
    outside: tuple[str, ...]

    @property
    def closed(self) -> bool:
        """Whether every block has an end."""
        return not self.blocks or self.blocks[-1].closed


def fenced_blocks(reply: str) -> tuple[Block, ...]:
    """Return the fenced blocks of a reply.

    A fence followed by a word inside a block opens a nested block, so that a block may
    contain fenced blocks itself. A fence that is indented much more than the opening one
    is text of the block, as in a docstring, unless it has to be its end.

    Args:
        reply: the model's text

    Returns:
        Outer blocks in order; a last block without a closing fence is not `closed`.
    """
    return _layout(reply).blocks


def outside_fences(reply: str) -> tuple[str, ...]:
    """Return the lines of prose.

    Args:
        reply: the model's text

    Returns:
        Lines outside fenced blocks, without the fences.
    """
    return _layout(reply).outside


@functools.lru_cache(maxsize=4)  # several functions parse the same reply
def _layout(reply: str) -> _Layout:
    lines = lines_of(reply)
    strict = _laid_out(lines, strict=True)
    if strict.closed:
        return strict
    loose = _laid_out(lines, strict=False)
    return loose if loose.closed else strict


class _Open:
    """A block whose end was not found yet."""

    def __init__(self, mark: re.Match[str], first: int, before: str) -> None:
        glued = mark.re is _GLUED
        self.indent = "" if glued else mark[1]
        self.fence, self.info = mark[1 if glued else 2], mark[2 if glued else 3].strip()
        self.first, self.before = first, before
        self.lines: list[str] = []
        self.depth = 0  # of nested blocks

    def ends(self, line: str, strict: bool) -> bool:
        """Take a line; return whether it is the closing fence."""
        mark = FENCE.match(line)
        own = mark is not None and mark[2].startswith(self.fence)
        if mark and own and not (strict and self._deeper(mark[1])):
            if not mark[3].strip() and self.depth == 0:
                return True
            self.depth += 1 if mark[3].strip() else -1
        self.lines.append(line)
        return False

    def _deeper(self, indent: str) -> bool:
        widths = [len(text.expandtabs(_DEEPER)) for text in (indent, self.indent)]
        return widths[0] >= widths[1] + _DEEPER

    def block(self, closed: bool) -> Block:
        """Return the block."""
        text = "".join(f"{line}\n" for line in _dedented(self.lines, self.indent))
        return Block(text, self.before, self.info, closed, self.first)


def _laid_out(lines: Sequence[str], strict: bool) -> _Layout:
    blocks: list[Block] = []
    outside: list[str] = []
    opened: _Open | None = None
    last = ""
    for number, line in enumerate(lines):
        mark = FENCE.match(line) or ("```" in line and _GLUED.match(line)) or None
        if opened is not None:
            if opened.ends(line, strict):
                blocks.append(opened.block(closed=True))
                opened = None
        elif mark:
            above = line[: mark.start(1)] if mark.re is _GLUED else last
            opened = _Open(mark, number + 1, above)
        else:
            outside.append(line)
        if line.strip():
            last = line
    if opened is not None:
        blocks.append(opened.block(closed=False))
    return _Layout(tuple(blocks), tuple(outside))


def _dedented(lines: Sequence[str], indent: str) -> Sequence[str]:
    """Remove the fence's indentation if every line has it: a block in a list."""
    if indent and all(line.startswith(indent) for line in lines if line.strip()):
        return [line.removeprefix(indent) for line in lines]
    return lines


def longer_blocks(reply: str, block: Block) -> Iterator[Block]:
    """Yield readings of a block that end at a later fence, the shortest one first.

    Args:
        reply: the model's text
        block: a block of it

    Yields:
        At most `MAX_LONGER` blocks that contain fences themselves.
    """
    lines = lines_of(reply)
    after = block.first + block.text.count("\n") + 1
    marks = ((k, FENCE.match(lines[k])) for k in range(after, len(lines)))
    ends = (k for k, mark in marks if mark is not None and not mark[3].strip())
    opening = FENCE.match(lines[block.first - 1])
    indent = opening[1] if opening else ""
    for end in islice(ends, MAX_LONGER):
        inside = _dedented(lines[block.first : end], indent)
        text = "".join(f"{line}\n" for line in inside)
        yield Block(text, block.before, block.info, True, block.first)
