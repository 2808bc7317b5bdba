"""The outer form of a reply: thoughts, prose, and fenced blocks."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\n`]*)$")
_THOUGHT = r"(?:think|thinking|thought|thoughts|reasoning)"
_THINKING = re.compile(rf"(?ims)^[ \t]*<({_THOUGHT})>.*?</\1>[ \t]*")
_THOUGHT_END = re.compile(rf"(?im)^.*</{_THOUGHT}>[ \t]*$")
_THOUGHT_START = re.compile(rf"(?im)^[ \t]*<{_THOUGHT}>")


@dataclass(frozen=True)
class Block:
    """A fenced block. The line above it or the words behind its fence may name a file."""

    text: str
    before: str = ""
    info: str = ""
    closed: bool = True

    @property
    def language(self) -> str:
        """The word behind the fence, in lower case; empty where none stands."""
        return re.split(r"[\s:{,]", self.info, maxsplit=1)[0].lower()


def lines_of(reply: str) -> list[str]:
    """A reply's lines without their ends; whatever else Unicode calls a line end stays text."""
    return [line.removesuffix("\r") for line in reply.split("\n")]


def without_thinking(reply: str) -> str:
    """The reply behind the model's thoughts; nothing is left of thoughts that have no end."""
    text = _THINKING.sub("", reply)
    ends = list(_THOUGHT_END.finditer(text))
    if ends:  # the chat template had opened them already
        text = text[ends[-1].end() :]
    begun = _THOUGHT_START.search(text)
    return text if begun is None else text[: begun.start()]


@functools.lru_cache(maxsize=4)  # several questions are asked about one reply
def fenced_blocks(reply: str) -> tuple[Block, ...]:
    """Blocks between fences; one that is open at the end is the last, and not `closed`.

    A fence with a word behind it opens one more, so a block may hold fenced blocks itself.
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
    """The lines of prose."""
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
