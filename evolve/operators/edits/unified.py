"""Unified diffs in the form that models write.

Line counts are ignored, and context lines may lack their first blank.
"""

import re
from collections.abc import Iterator

from evolve.operators.edits.fences import Block, fenced_blocks, outside_fences
from evolve.operators.edits.lines import lines_of
from evolve.operators.edits.places import Change, Reading

_HUNK = re.compile(r"^@@.*@@|^@@\s*$|^@@ ")
_OLD, _NEW = re.compile(r"^--- (\S+)"), re.compile(r"^\+\+\+ (\S+)")
_META = re.compile(
    r"^(diff --git |index [0-9a-f]|new file|deleted file|similarity|rename "
    r"|\*\*\* (?:Begin|End) Patch|\*\*\* End of File)"
)
# the patches of OpenAI's models
_PATCH = re.compile(r"^\*\*\* (Update|Add|Delete) File: (\S+)")
NOWHERE = "/dev/null"


def has_hunks(reply: str) -> bool:
    """Return whether a reply contains a diff: hunks, or a block marked as a diff."""
    lines = lines_of(reply)
    hunks = "@@" in reply and any(map(_HUNK.match, lines))
    patch = "*** " in reply and any(map(_PATCH.match, lines))
    blocks = fenced_blocks(reply)
    named = any(_is_named(block) and _signed(block.text) for block in blocks)
    shown = bool(blocks) and all(map(_has_signs_only, blocks))
    return hunks or patch or named or shown


def _is_named(block: Block) -> bool:
    return block.language in ("diff", "patch")


def _signed(text: str) -> bool:
    return any(line.startswith(("+", "-")) for line in text.split("\n"))


def _has_signs_only(block: Block) -> bool:
    """Return whether each line begins with a sign of a diff, and some of them changed."""
    signs = {line[0] for line in block.text.split("\n") if line.strip()}
    return {"-", "+"} <= signs <= {"-", "+", " ", "@", "\\"}


def unified_changes(reply: str) -> list[Change]:
    """Return the changes of a diff.

    Args:
        reply: the model's text

    Returns:
        One change per hunk; removals of files are left to `removed_files`.
    """
    blocks = [
        block.text
        for block in fenced_blocks(reply)
        if _is_named(block)
        or _has_signs_only(block)
        or any(map(_HUNK.match, lines_of(block.text)))
        or any(map(_PATCH.match, lines_of(block.text)))
    ]
    texts = blocks or ["\n".join(outside_fences(reply))]
    return [change for text in texts for change in _changes(text)]


def removed_files(reply: str) -> list[str]:
    """Return the files that a diff removes.

    Args:
        reply: the model's text

    Returns:
        Paths with /dev/null as their new side.
    """
    found, old = [], ""
    for line in lines_of(reply):
        if (match := _PATCH.match(line)) and match[1] == "Delete":
            found.append(_path(match[2]))
        elif match := _OLD.match(line):
            old = _path(match.group(1))
        elif (match := _NEW.match(line)) and match.group(1) == NOWHERE:
            found.append(old)
    return found


def _changes(text: str) -> Iterator[Change]:
    hunk: list[str] = []
    old, path = "", ""
    lines = lines_of(text)
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if (match := _OLD.match(line)) and _NEW.match(following):
            yield from _finished(hunk, path)
            hunk, old = [], _path(match.group(1))
        elif (match := _NEW.match(line)) and not hunk:
            path = _path(match.group(1)) if match.group(1) != NOWHERE else old
            hunk = [] if match.group(1) != NOWHERE else ["\\ removed"]
        elif match := _PATCH.match(line):
            yield from _finished(hunk, path)
            hunk = ["\\ removed"] if match[1] == "Delete" else []
            path = _path(match[2])
        elif _HUNK.match(line):
            yield from _finished(hunk, path)
            hunk = []
        elif not _META.match(line):
            hunk.append(line)
    yield from _finished(hunk, path)


def _finished(hunk: list[str], path: str) -> Iterator[Change]:
    while hunk and not hunk[-1].strip():
        hunk.pop()
    if "\\ removed" in hunk or not any(line.startswith(("+", "-")) for line in hunk):
        return
    body = [line for line in hunk if not line.startswith("\\")]
    readings = (_reading(body, strip=True), _reading(body, strip=False))
    yield Change(tuple(dict.fromkeys(readings)), path)


def _reading(hunk: list[str], strip: bool) -> Reading:
    """Return a hunk's reading, with or without the first blank of context lines."""
    search, replace = [], []
    for line in hunk:
        sign, rest = line[:1], line[1:]
        if sign == "-":
            search.append(rest)
        elif sign == "+":
            replace.append(rest)
        else:
            context = rest if strip and sign == " " else line
            search.append(context)
            replace.append(context)
    return Reading(tuple(search), tuple(replace))


def _path(text: str) -> str:
    return re.sub(r"^[ab]/", "", text.strip("\"'`"))
