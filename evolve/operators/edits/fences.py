"""The outer form of a reply: thoughts, prose and fenced blocks."""

import functools
import re
from dataclasses import dataclass

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\n`]*)$")
_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning")
_THOUGHT = rf"(?:{'|'.join(_TAGS)})"
_CLOSED = {tag: re.compile(rf"(?i)</{tag}>[ \t]*") for tag in _TAGS}
_THOUGHT_END = re.compile(rf"(?im)^.*</{_THOUGHT}>[ \t]*$")
_THOUGHT_START = re.compile(rf"(?im)^[ \t]*<({_THOUGHT})>")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        text: its content
        before: the line above it, which may name a file
        info: the text after the opening fence, which may name a language or file
        closed: whether it has a closing fence
    """

    text: str
    before: str = ""
    info: str = ""
    closed: bool = True

    @property
    def language(self) -> str:
        """The first word after the opening fence, in lower case; empty if missing."""
        return re.split(r"[\s:{,]", self.info, maxsplit=1)[0].lower()


@functools.lru_cache(maxsize=4)  # several functions parse the same reply
def lines_of(reply: str) -> tuple[str, ...]:
    """Split a reply into lines without their ends.

    Args:
        reply: the model's text

    Returns:
        The lines. Only a line feed ends one; other Unicode line ends are ordinary text.
    """
    return tuple([line.removesuffix("\r") for line in reply.split("\n")])


def without_thinking(reply: str) -> str:
    """Remove a model's thoughts from its reply.

    Args:
        reply: the model's text

    Returns:
        The text after the thoughts; thoughts without an end tag are removed to the end.
    """
    text = _without_closed_thoughts(reply)
    ends = list(_THOUGHT_END.finditer(text))
    if ends:  # the chat template already contained the opening tag
        text = text[ends[-1].end() :]
    begun = _THOUGHT_START.search(text)
    return text if begun is None else text[: begun.start()]


def _without_closed_thoughts(reply: str) -> str:
    kept, last, never_closed = [], 0, set()
    for begun in _THOUGHT_START.finditer(reply):
        tag = begun[1].lower()
        if begun.start() < last or tag in never_closed:
            continue
        closed = _CLOSED[tag].search(reply, begun.end())
        if closed is None:
            never_closed.add(tag)
            continue
        kept.append(reply[last : begun.start()])
        last = closed.end()
    return "".join([*kept, reply[last:]])


@functools.lru_cache(maxsize=4)  # several functions parse the same reply
def fenced_blocks(reply: str) -> tuple[Block, ...]:
    """Return the fenced blocks of a reply.

    A fence followed by a word inside a block opens a nested block, so that a block may
    contain fenced blocks itself.

    Args:
        reply: the model's text

    Returns:
        Outer blocks in order; a last block without a closing fence is not `closed`.
    """
    blocks: list[Block] = []
    fence, inside, before, info, last, depth = "", [""], "", "", "", 0
    for line in lines_of(reply):
        mark = _FENCE.match(line)
        same = mark is not None and bool(fence) and mark.group(1).startswith(fence)
        if not fence and mark:
            fence, inside, before, info, depth = (
                mark.group(1),
                [],
                last,
                mark.group(2).strip(),
                0,
            )
        elif mark and same and not mark.group(2).strip() and depth == 0:
            blocks.append(Block("".join(f"{text}\n" for text in inside), before, info))
            fence = ""
        elif fence:
            if mark and same:
                depth += 1 if mark.group(2).strip() else -1
            inside.append(line)
        if line.strip():
            last = line
    if fence:
        blocks.append(
            Block("".join(f"{text}\n" for text in inside), before, info, closed=False)
        )
    return tuple(blocks)


def outside_fences(reply: str) -> list[str]:
    """Return the lines of prose.

    Args:
        reply: the model's text

    Returns:
        Lines outside fenced blocks, without the fences.
    """
    found, fence = [], ""
    for line in lines_of(reply):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark.group(1)
        elif mark and mark.group(1).startswith(fence) and not mark.group(2).strip():
            fence = ""
        elif not fence:
            found.append(line)
    return found
