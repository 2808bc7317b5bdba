"""SEARCH/REPLACE blocks in the variations that models write.

A mark may have fewer than seven signs, the path may be before or after the mark, and
the divider may look like a line of the text.
"""

import re
import string
from collections.abc import Sequence

from evolve.operators.base import Rejected
from evolve.operators.edits.change import Change, Reading
from evolve.operators.edits.fences import lines_of

SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
MAX_DIVIDERS = 16
_SEARCH = re.compile(
    r"^\s*(?:<{3,9}|-{5,9}) ?(?:SEARCH|ORIGINAL|BEFORE)\b:?[ \t>]*(.*)$"
)
_WORD = re.compile(r"SEARCH|ORIGINAL|BEFORE|REPLACE|UPDATED|AFTER")
_DIVIDER = re.compile(r"^\s*={5,9}\s*$")
_REPLACE = re.compile(r"^\s*(?:>{3,9}|\+{5,9}) ?(?:REPLACE|UPDATED|AFTER)\b.*$")
_FENCE = re.compile(r"^\s*(?:`{3,}|~{3,})")


def has_blocks(reply: str) -> bool:
    """Return whether a reply contains a SEARCH or REPLACE mark."""
    return _WORD.search(reply) is not None and any(
        _SEARCH.match(line) or _REPLACE.match(line) for line in lines_of(reply)
    )


def search_replace_blocks(reply: str) -> list[Change]:
    """Return the blocks of a reply.

    Args:
        reply: the model's text

    Returns:
        One change per block, in order.

    Raises:
        Rejected: an incomplete block
    """
    lines = lines_of(reply)
    blocks, replaces = _Blocks(), _replaces_next(lines)
    for number, line in enumerate(lines, start=1):
        if blocks.body is None:
            blocks.outside(line)
        else:
            blocks.inside(line, replaces[number])
    return blocks.complete()


class _Blocks:
    """The blocks that were found so far, and where in the reply the next line is."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.body: list[str] | None = None  # the lines of the open block
        self._fenced: list[str] = []  # the lines since the fence, if no block is open
        self._path, self._opened_in_fence, self._in_fence = "", False, False

    def inside(self, line: str, replace_next: bool) -> None:
        """Take a line of an open block, and whether the next mark is REPLACE."""
        assert self.body is not None
        if _SEARCH.match(line):
            raise Rejected("unparsable", f"a second {SEARCH} before {REPLACE}")
        by_fence = self._opened_in_fence and _closes(line, self.body, replace_next)
        if not by_fence and not _REPLACE.match(line):
            self.body.append(line)
            return
        self.changes.append(_change(self.body, self._path))
        self.body, self._in_fence = None, self._in_fence and not by_fence

    def outside(self, line: str) -> None:
        """Take a line between blocks."""
        begin = _SEARCH.match(line)
        if begin:
            self.body, self._opened_in_fence, self._fenced = [], self._in_fence, []
            self._path = path_in(begin.group(1)) or self._path
        elif _REPLACE.match(line):
            self._without_search()
        elif _FENCE.match(line):
            self._in_fence, self._fenced = not self._in_fence, []
            label = line.strip().lstrip("`~").partition(":")[2]
            self._path = path_in(label) or self._path
        elif self._in_fence:
            self._fenced.append(line)
            self._path = path_in(line) or self._path
        elif line.strip():
            self._path = path_in(line)

    def _without_search(self) -> None:
        """Take the fenced lines as a block: small models omit the SEARCH mark."""
        if not (self._in_fence and any(map(_DIVIDER.match, self._fenced))):
            raise Rejected("unparsable", f"a {REPLACE} without {SEARCH} before it")
        self.changes.append(_change(self._fenced, self._path))
        self._fenced = []

    def complete(self) -> list[Change]:
        """Return all changes. Raises `Rejected` if the last block is open."""
        if self.body is None:
            return self.changes
        part = REPLACE if any(map(_DIVIDER.match, self.body)) else DIVIDER
        raise Rejected(
            "unparsable", f"the last block has no {part}: the reply was cut off"
        )


def _replaces_next(lines: Sequence[str]) -> list[bool]:
    """Return for each line whether the first mark from it on is REPLACE; False at the end."""
    found, replaces = [False], False
    for line in reversed(lines):
        replaces = not _SEARCH.match(line) and (
            replaces or _REPLACE.match(line) is not None
        )
        found.append(replaces)
    return found[::-1]


def _closes(line: str, body: list[str], replace_next: bool) -> bool:
    """Return whether a bare fence ends a block that has no REPLACE mark."""
    bare = line.strip()
    fence = len(bare) >= 3 and bare in ("`" * len(bare), "~" * len(bare))
    return fence and not replace_next and any(map(_DIVIDER.match, body))


def _change(body: list[str], path: str) -> Change:
    """Return a change with one reading per possible divider.

    Every line that looks like a divider may be the one; later only one reading may
    match.

    Raises:
        Rejected: no line looks like a divider, or more than `MAX_DIVIDERS` do
    """
    dividers = [k for k, line in enumerate(body) if line.rstrip() == DIVIDER] or [
        k for k, line in enumerate(body) if _DIVIDER.match(line)
    ]
    if not dividers:
        raise Rejected(
            "unparsable",
            f"a block has no line {DIVIDER} between {SEARCH} and {REPLACE}",
        )
    if len(dividers) > MAX_DIVIDERS:
        raise Rejected(
            "unparsable", f"a block has more than {MAX_DIVIDERS} lines {DIVIDER}"
        )
    return Change(
        tuple(Reading(tuple(body[:k]), tuple(body[k + 1 :])) for k in dividers), path
    )


def path_in(line: str) -> str:
    """Return the file path in a line that has nothing else.

    Args:
        line: such as `a.py`, **a.py**, # a.py or File: a.py

    Returns:
        The path; empty if the line has other content.
    """
    bare = re.sub(r"(?i)^[\s`*#/>-]*(?:(?:file|path|in)\b[\s:=`*\"']*)?", "", line)
    bare = bare.rstrip(f"`*:\"'){string.whitespace}")
    return bare if re.fullmatch(r"[\w./+-]+", bare) else ""
