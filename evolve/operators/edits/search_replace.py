"""SEARCH/REPLACE blocks in the variations that models write.

A mark may have fewer than seven signs, the path may be before or after the mark, and
the divider may look like a line of the text.
"""

import re
import string
from collections.abc import Sequence

from evolve.operators.base import Rejected
from evolve.operators.edits.lines import lines_of
from evolve.operators.edits.places import Change, Reading

SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
MAX_DIVIDERS = 16
# the words of git's conflicts, too, which many models know better
_SEARCH = re.compile(
    r"^\s*(?:<{5,12} ?(?i:SEARCH|ORIGINAL|BEFORE|HEAD|OLD|FIND)"
    r"|(?:<{3,4}|-{5,9}) ?(?:SEARCH|ORIGINAL|BEFORE))\b:?[ \t>]*(.*)$"
)
_WORD = re.compile(
    r"(?i)SEARCH|ORIGINAL|BEFORE|HEAD|OLD|FIND|REPLACE|UPDATED|AFTER|NEW|</?replace>"
)
_DIVIDER = re.compile(r"^\s*={5,12}\s*$")
_REPLACE = re.compile(
    r"^\s*(?:>{5,12} ?(?i:REPLACE|UPDATED|AFTER|NEW)"
    r"|(?:>{3,4}|\+{5,9}) ?(?:REPLACE|UPDATED|AFTER))\b.*$"
)
_END = re.compile(r"^\s*>{5,12}(?: .*)?$")  # of an open block, with any word
_FENCE = re.compile(r"^\s*(?:`{3,}|~{3,})")
# tags of models that are trained to call tools -> the mark that they are written for
_TAGS = {
    **dict.fromkeys(("<search>", "<old_str>", "<old_string>", "<find>"), SEARCH),
    **dict.fromkeys(("<replace>", "<new_str>", "<new_string>"), DIVIDER),
    **dict.fromkeys(("</replace>", "</new_str>", "</new_string>"), REPLACE),
    **dict.fromkeys(("</search>", "</old_str>", "</old_string>", "</find>"), ""),
}


def has_blocks(reply: str) -> bool:
    """Return whether a reply contains a SEARCH or REPLACE mark."""
    return _WORD.search(reply) is not None and any(
        _SEARCH.match(line) or _REPLACE.match(line) for line in _marked(reply)
    )


def _marked(reply: str) -> Sequence[str]:
    """Return the lines of a reply, with tags replaced by the marks that they stand for."""
    lines = _with_labels(lines_of(reply))
    tags = [_TAGS.get(line.strip().lower()) for line in lines]
    if not {SEARCH, DIVIDER, REPLACE} <= set(tags):
        return lines
    marked = zip(lines, tags, strict=True)
    return [line if tag is None else tag for line, tag in marked if tag != ""]


def _with_labels(lines: Sequence[str]) -> Sequence[str]:
    """Replace the labels SEARCH and REPLACE alone on lines of a fence by marks."""
    if not any(line.strip("#* :") == "SEARCH" for line in lines):
        return lines
    fenced, marked = False, []
    for line in lines:
        label = line.strip("#* :") if fenced else ""
        fenced ^= _FENCE.match(line) is not None
        marked.append({"SEARCH": SEARCH, "REPLACE": DIVIDER}.get(label, line))
    return marked


def search_replace_blocks(reply: str) -> list[Change]:
    """Return the blocks of a reply.

    Args:
        reply: the model's text

    Returns:
        One change per block, in order; a block that is repeated counts once.

    Raises:
        Rejected: an incomplete block
    """
    lines = _marked(reply)
    blocks, replaces = _Blocks(), _replaces_next(lines)
    for number, line in enumerate(lines, start=1):
        if blocks.body is None:
            blocks.outside(line)
        else:
            blocks.inside(line, replaces[number])
    return list(dict.fromkeys(blocks.complete()))


class _Blocks:
    """The blocks that were found so far, and where in the reply the next line is."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.body: list[str] | None = None  # the lines of the open block
        self._fenced: list[str] = []  # the lines since the fence, if no block is open
        self._path, self._opened_in_fence, self._in_fence = "", False, False
        self._hollow = False  # the block before removes its lines

    def inside(self, line: str, replace_next: bool) -> None:
        """Take a line of an open block, and whether the next mark is REPLACE."""
        assert self.body is not None
        if _SEARCH.match(line):
            self._end_here()
            self.outside(line)
            return
        by_fence = self._opened_in_fence and _closes(line, self.body, replace_next)
        if not by_fence and not _ends(line, self.body):
            self.body.append(line)
            return
        self.changes.append(_change(self.body, self._path))
        self._hollow = not any(map(str.strip, self.changes[-1].readings[0].replace))
        self.body, self._in_fence = None, self._in_fence and not by_fence

    def _end_here(self) -> None:
        """End a block without REPLACE at the next SEARCH, if it has only code."""
        assert self.body is not None
        dividers = [k for k, line in enumerate(self.body) if _DIVIDER.match(line)]
        new = self.body[dividers[0] + 1 :] if dividers else []
        if not new or not all(map(str.strip, new)) or any(map(_FENCE.match, new)):
            raise Rejected(
                "unparsable",
                f"a second {SEARCH} before {REPLACE}; end each block with a line "
                f"{REPLACE}",
            )
        self.changes.append(_change(self.body, self._path))
        self.body = None

    def outside(self, line: str) -> None:
        """Take a line between blocks."""
        begin = _SEARCH.match(line)
        if self._hollow and self._in_fence and line.strip() and not begin:
            self._refuse_hollow(line)
        self._hollow = False
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

    def _refuse_hollow(self, line: str) -> None:
        """Refuse code after an empty replacement, which may be meant to be in it."""
        if not _FENCE.match(line) and not path_in(line):
            raise Rejected(
                "unparsable",
                f"the lines after {REPLACE} belong between {DIVIDER} and {REPLACE}",
            )

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
            "unparsable",
            f"the last block has no {part}: the reply was cut off, or the line is missing",
        )


def _replaces_next(lines: Sequence[str]) -> list[bool]:
    """Return for each line whether the first mark from it on is REPLACE; False at the end."""
    found, replaces = [False], False
    for line in reversed(lines):
        replaces = not _SEARCH.match(line) and (
            replaces or _REPLACE.match(line) is not None or _END.match(line) is not None
        )
        found.append(replaces)
    return found[::-1]


def _ends(line: str, body: Sequence[str]) -> bool:
    """Return whether a line is the mark at the end of a block."""
    return _REPLACE.match(line) is not None or (
        _END.match(line) is not None and any(map(_DIVIDER.match, body))
    )


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
    # git may show the common ancestor between the two sides
    base = next((k for k, line in enumerate(body) if line.startswith("|||||||")), None)
    return Change(
        tuple(Reading(tuple(body[:k][:base]), tuple(body[k + 1 :])) for k in dividers),
        path,
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
