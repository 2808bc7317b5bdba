"""SEARCH/REPLACE blocks in the variations that models write.

A mark may have fewer than seven signs, the path may be before or after the mark, and
the divider may look like a line of the text.
"""

from __future__ import annotations

import re

from evolve.operators.base import Rejected
from evolve.operators.edits.change import Change, Reading
from evolve.operators.edits.fences import lines_of

SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_SEARCH = re.compile(
    r"^\s*(?:<{3,9}|-{5,9}) ?(?:SEARCH|ORIGINAL|BEFORE)\b:?[ \t>]*(.*)$"
)
_DIVIDER = re.compile(r"^\s*={5,9}\s*$")
_REPLACE = re.compile(r"^\s*(?:>{3,9}|\+{5,9}) ?(?:REPLACE|UPDATED|AFTER)\b.*$")
_FENCE = re.compile(r"^\s*(?:`{3,}|~{3,})")


def has_blocks(reply: str) -> bool:
    """Return whether a reply contains a SEARCH or REPLACE mark."""
    return any(_SEARCH.match(line) or _REPLACE.match(line) for line in lines_of(reply))


def search_replace_blocks(reply: str) -> list[Change]:
    """Return the blocks of a reply.

    Args:
        reply: the model's text

    Returns:
        One change per block, in order.

    Raises:
        Rejected: an incomplete block
    """
    changes: list[Change] = []
    body: list[str] | None = None  # the lines of the open block
    fenced: list[str] = []  # the lines since the fence, if no block is open
    path, opened_in_fence, in_fence = "", False, False
    lines = lines_of(reply)
    for number, line in enumerate(lines, start=1):
        begin = _SEARCH.match(line)
        if begin and body is not None:
            raise Rejected("unparsable", f"a second {SEARCH} before {REPLACE}")
        if begin:
            body, opened_in_fence, fenced = [], in_fence, []
            path = path_in(begin.group(1)) or path
        elif body is not None and _REPLACE.match(line):
            changes.append(_change(body, path))
            body = None
        elif (
            body is not None and opened_in_fence and _closes(line, body, lines[number:])
        ):
            changes.append(_change(body, path))  # ended by its fence
            body, in_fence = None, False
        elif body is not None:
            body.append(line)
        elif _REPLACE.match(line) and in_fence and any(map(_DIVIDER.match, fenced)):
            changes.append(_change(fenced, path))  # small models omit the SEARCH mark
            fenced = []
        elif _REPLACE.match(line):
            raise Rejected("unparsable", f"a {REPLACE} without {SEARCH} before it")
        elif _FENCE.match(line):
            in_fence, fenced = not in_fence, []
            path = path_in(line.strip().lstrip("`~").partition(":")[2]) or path
        elif in_fence:
            fenced.append(line)
            path = path_in(line) or path
        elif line.strip():
            path = path_in(line)
    if body is not None:
        part = REPLACE if any(map(_DIVIDER.match, body)) else DIVIDER
        raise Rejected(
            "unparsable", f"the last block has no {part}: the reply was cut off"
        )
    return changes


def _closes(line: str, body: list[str], following: list[str]) -> bool:
    """Return whether a bare fence ends a block that has no REPLACE mark."""
    if not re.fullmatch(r"\s*(?:`{3,}|~{3,})\s*", line) or not any(
        map(_DIVIDER.match, body)
    ):
        return False
    mark = next(
        (found for found in following if _SEARCH.match(found) or _REPLACE.match(found)),
        "",
    )
    return not _REPLACE.match(mark)


def _change(body: list[str], path: str) -> Change:
    """Return a change with one reading per possible divider.

    Every line that looks like a divider may be the one; later only one reading may
    match.
    """
    dividers = [k for k, line in enumerate(body) if line.rstrip() == DIVIDER] or [
        k for k, line in enumerate(body) if _DIVIDER.match(line)
    ]
    if not dividers:
        raise Rejected(
            "unparsable",
            f"a block has no line {DIVIDER} between {SEARCH} and {REPLACE}",
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
    bare = re.sub(r"[\s`*:\"')]+$", "", bare)
    return bare if re.fullmatch(r"[\w./+-]+", bare) else ""
