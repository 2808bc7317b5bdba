"""Differences between two trees: per file, in hunks of numbered lines."""

import difflib
from collections.abc import Iterator
from typing import NamedTuple

from evolve.archive import Files

CONTEXT = 3
MOST_LINES = 20_000  # of a file; in longer files lines are only counted


STAT_WIDTH = 40  # of the signs in `git diff --stat`


class Line(NamedTuple):
    """A line of a hunk.

    Attributes:
        kind: "same", "add" or "del"
        old: number in the old file, from 1; None for an added line
        new: number in the new file, from 1; None for a removed line
        text: without its line end
    """

    kind: str
    old: int | None
    new: int | None
    text: str


class Change(NamedTuple):
    """The difference in one file.

    Attributes:
        path: the file
        status: "added", "removed" or "changed"
        added: number of added lines
        removed: number of removed lines
        hunks: changed lines with `CONTEXT` lines around them
        too_long: the file has more than `MOST_LINES`, so there are no hunks
    """

    path: str
    status: str
    added: int
    removed: int
    hunks: tuple[tuple[Line, ...], ...]
    too_long: bool = False


def changes(before: Files, after: Files) -> list[Change]:
    """Compare two trees.

    Args:
        before: old tree, path -> content
        after: new tree, path -> content

    Returns:
        Differing files, sorted by path.
    """
    return [
        _change(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def stat_lines(found: list[Change]) -> list[str]:
    """Summarize changes in the format of `git diff --stat`.

    Args:
        found: changes of files

    Returns:
        One line per file, and a line with the totals.
    """
    if not found:
        return ["no difference"]
    longest = max(len(change.path) for change in found)
    most = max(max(change.added + change.removed for change in found), 1)
    share = min(1.0, STAT_WIDTH / most)
    lines = [
        f" {c.path:<{longest}} | {c.added + c.removed:>4} "
        f"{'+' * round(c.added * share)}{'-' * round(c.removed * share)}"
        for c in found
    ]
    return [
        *lines,
        f" {len(found)} file{'s' * (len(found) > 1)} changed, "
        f"{sum(c.added for c in found)} insertions(+), "
        f"{sum(c.removed for c in found)} deletions(-)",
    ]


def _change(path: str, old: bytes | None, new: bytes | None) -> Change:
    status = "added" if old is None else "removed" if new is None else "changed"
    left, right = (
        (side or b"").decode(errors="replace").splitlines() for side in (old, new)
    )
    if len(left) > MOST_LINES or len(right) > MOST_LINES:
        return Change(path, status, len(right), len(left), (), True)
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    hunks = tuple(
        tuple(_lines(group, left, right))
        for group in matcher.get_grouped_opcodes(CONTEXT)
    )
    kinds = [line.kind for hunk in hunks for line in hunk]
    return Change(path, status, kinds.count("add"), kinds.count("del"), hunks)


def _lines(
    group: list[tuple[str, int, int, int, int]], left: list[str], right: list[str]
) -> Iterator[Line]:
    for tag, old, old_end, new, new_end in group:
        if tag == "equal":
            for step in range(old_end - old):
                yield Line("same", old + step + 1, new + step + 1, left[old + step])
            continue
        for place in range(old, old_end):
            yield Line("del", place + 1, None, left[place])
        for place in range(new, new_end):
            yield Line("add", None, place + 1, right[place])
