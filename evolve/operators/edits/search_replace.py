"""SEARCH/REPLACE blocks, as models write them: with seven signs or fewer, with the path before or
behind the mark, and with a divider that may look like a line of the text.
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
    """True when a SEARCH or a REPLACE mark stands in it."""
    return any(_SEARCH.match(line) or _REPLACE.match(line) for line in lines_of(reply))


def search_replace_blocks(reply: str) -> list[Change]:
    """The blocks of a reply. Raises `Rejected` for half a block."""
    changes: list[Change] = []
    body: list[str] | None = None  # the lines of the open block
    fenced: list[str] = []  # the lines since the fence, where none is open
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
            changes.append(_change(body, path))  # its fence ended it
            body, in_fence = None, False
        elif body is not None:
            body.append(line)
        elif _REPLACE.match(line) and in_fence and any(map(_DIVIDER.match, fenced)):
            changes.append(_change(fenced, path))  # small models forget the first mark
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
    """A bare fence behind the divider, where no REPLACE mark comes any more."""
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
    """Every line that looks like a divider may be the one; later only one of them may fit."""
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
    """A file's path, where a line is nothing else: `a.py`, **a.py**, # a.py, File: a.py."""
    bare = re.sub(r"(?i)^[\s`*#/>-]*(?:(?:file|path|in)\b[\s:=`*\"']*)?", "", line)
    bare = re.sub(r"[\s`*:\"')]+$", "", bare)
    return bare if re.fullmatch(r"[\w./+-]+", bare) else ""
