"""From a model's reply to files: fenced rewrites and SEARCH/REPLACE blocks, loud where wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.operators.operator import Rejected
from evolve.tasks import Region, editable_region
from evolve.tasks.region import END, START, MarkerError

SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
CLOSE_LINES = 3
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([\w+#.-]*)[^\n]*$")


@dataclass(frozen=True)
class Block:
    """A fenced block; `before` is the line above it, which may name a file."""

    text: str
    before: str


@dataclass(frozen=True)
class Change:
    """Replace these whole lines by those; `path` is empty when the reply named no file."""

    search: tuple[str, ...]
    replace: tuple[str, ...]
    path: str


def rewrite(reply: str, files: Mapping[str, bytes], editable: Sequence[str]) -> dict[str, bytes]:
    """Whole new texts of files, from fenced blocks. Raises `Rejected` when there is none."""
    blocks = fenced_blocks(reply)
    if not blocks:
        raise Rejected("unparsable", "the reply has no fenced code block (```)")
    new = dict(files)
    if len(editable) == 1:
        block = max(blocks, key=lambda found: len(found.text))
        new[editable[0]] = _rewritten(editable[0], files[editable[0]], block.text)
        return new
    for block in blocks:
        path = _path_in(block.before, editable)
        if path is None:
            raise Rejected("unparsable", "a code block does not say which file it is; write the path "
                           f"on the line above it: {', '.join(editable)}")
        new[path] = _rewritten(path, files[path], block.text)
    return new


def fenced_blocks(reply: str) -> list[Block]:
    """Blocks between fences of the same kind; an open one at the end is cut off and left out."""
    blocks: list[Block] = []
    fence, inside, before, last = "", [""], "", ""
    for line in reply.splitlines():
        mark = _FENCE.match(line)
        if not fence and mark:
            fence, inside, before = mark.group(1), [], last
        elif fence and mark and mark.group(1).startswith(fence) and not mark.group(2):
            blocks.append(Block("".join(f"{text}\n" for text in inside), before))
            fence = ""
        elif fence:
            inside.append(line)
        if line.strip():
            last = line
    return blocks


def _rewritten(path: str, before: bytes, text: str) -> bytes:
    """Put new text into the editable region; what is fixed stays as it was."""
    region = editable_region(before.decode())
    if not any(START in part for part in region.fixed):
        return text.encode()
    try:
        given = editable_region(text)
    except MarkerError as error:
        raise Rejected("unparsable", f"{path}: line {error.line} of the block: {error}") from None
    if START not in text:
        pieces = [text]
    else:
        pieces = ["".join(given.lines[first:last]) for first, last in given.blocks]
    if len(pieces) != len(region.blocks):
        raise Rejected("unparsable", f"{path} has {len(region.blocks)} editable blocks, the reply "
                       f"{len(pieces)}; keep every {START} and {END} line")
    return _join(region, pieces).encode()


def _join(region: Region, pieces: Sequence[str]) -> str:
    fixed = region.fixed
    return "".join([fixed[0], *(a + b for a, b in zip(pieces, fixed[1:], strict=True))])


def apply_changes(reply: str, files: Mapping[str, bytes], editable: Sequence[str]
                  ) -> dict[str, bytes]:
    """Apply every SEARCH/REPLACE block, in order. Raises `Rejected` unless each matches once."""
    changes = search_replace_blocks(reply)
    if not changes:
        raise Rejected("unparsable", f"the reply has no SEARCH/REPLACE block: a line {SEARCH}, lines "
                       f"of the program, a line {DIVIDER}, new lines, a line {REPLACE}")
    texts = {path: files[path].decode() for path in editable}
    for number, change in enumerate(changes, start=1):
        path = _target(change, texts, number)
        texts[path] = _apply(change, texts[path], path, number)
    return dict(files) | {path: text.encode() for path, text in texts.items()}


def search_replace_blocks(reply: str) -> list[Change]:
    """The blocks of a reply. Raises `Rejected` for a block without its end."""
    changes: list[Change] = []
    search: list[str] | None = None
    replace: list[str] | None = None
    path = ""
    for line in reply.splitlines():
        mark = line.strip()
        if mark == SEARCH:
            if search is not None:
                raise Rejected("unparsable", f"a second {SEARCH} before {REPLACE}")
            search = []
        elif search is not None and replace is None and mark == DIVIDER:
            replace = []
        elif search is not None and replace is not None and mark == REPLACE:
            changes.append(Change(tuple(search), tuple(replace), path))
            search = replace = None
        elif replace is not None:
            replace.append(line)
        elif search is not None:
            search.append(line)
        elif mark and not mark.startswith("```"):
            path = mark.strip("`*#: ")
    if search is not None:
        raise Rejected("unparsable", f"the last block has no {DIVIDER if replace is None else REPLACE}"
                       ": the reply was cut off")
    return changes


def _target(change: Change, texts: Mapping[str, str], number: int) -> str:
    """The file that a block is for: the named one, the only one, or the only one it matches."""
    if change.path in texts or len(texts) == 1:
        return change.path if change.path in texts else next(iter(texts))
    fitting = [path for path, text in texts.items() if _matches(change, text)]
    if len(fitting) != 1:
        raise Rejected("unparsable", f"block {number} fits {len(fitting)} files; write the path on the "
                       f"line above it: {', '.join(texts)}")
    return fitting[0]


def _matches(change: Change, text: str) -> list[int]:
    """Line numbers (from 0) where the searched lines stand, whole and exact."""
    lines, wanted = text.splitlines(), list(change.search)
    return [start for start in range(len(lines) - len(wanted) + 1)
            if lines[start:start + len(wanted)] == wanted]


def _apply(change: Change, text: str, path: str, number: int) -> str:
    if not any(line.strip() for line in change.search):
        raise Rejected("unparsable", f"block {number}: SEARCH is empty; copy the lines to be replaced")
    found = _matches(change, text)
    if len(found) != 1:
        raise Rejected("unparsable", f"block {number}: its SEARCH lines stand {len(found)} times in "
                       f"{path}, they must stand once.{closest(change, text) if not found else ''}")
    first, last = found[0], found[0] + len(change.search)
    region = editable_region(text)
    if not region.contains(first, last):
        raise Rejected("region", f"block {number}: lines {first + 1} to {last} of {path} are not in "
                       "the editable region")
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:first], *(f"{line}\n" for line in change.replace), *lines[last:]])


def closest(change: Change, text: str) -> str:
    """The lines that look most like what was searched, for the error message."""
    from rapidfuzz import fuzz, process

    wanted = next(line for line in change.search if line.strip())
    found = process.extract(wanted, text.splitlines(), scorer=fuzz.ratio, limit=CLOSE_LINES)
    listed = "".join(f"\n  line {index + 1}: {line}" for line, _, index in found)
    return f" The closest lines to {wanted!r} are:{listed}"


def _path_in(line: str, editable: Sequence[str]) -> str | None:
    """The editable file that a line names."""
    named = [path for path in editable if path in line]
    return max(named, key=len) if named else None
