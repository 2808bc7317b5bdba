"""Where the lines of a change are in a text."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice, pairwise

from evolve.operators.edits.comments import comment_sign, without_comment
from evolve.operators.edits.indents import reindented, unit_of
from evolve.operators.edits.left_out import stands_for_code
from evolve.operators.edits.lines import FENCE
from evolve.operators.edits.plain import Plain, retyped, unescaped, unnumbered
from evolve.tasks import split_lines

MAX_PLACES = 100  # candidates for a match that are looked at
_HINT = re.compile(r"^:(?:start|end)_line:[ \d]*$")


@dataclass(frozen=True)
class Reading:
    """One interpretation of a change: the lines to find and the lines to put there."""

    search: tuple[str, ...]
    replace: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One block or hunk of a reply.

    Attributes:
        readings: possible interpretations; only one of them may match
        path: the file; empty if the reply does not name one
    """

    readings: tuple[Reading, ...]
    path: str

    @property
    def search(self) -> tuple[str, ...]:
        """The lines to find, by the first reading."""
        return self.readings[0].search

    @property
    def creates(self) -> bool:
        """Whether it searches for nothing, so that it can only create a file."""
        return not any(line.strip() for line in self.search)


@dataclass(frozen=True)
class Place:
    """A match of a reading in a text.

    Attributes:
        first: first matching line, counted from 0
        last: line after the match
        replace: new lines, indented like the match
    """

    first: int
    last: int
    replace: tuple[str, ...]


Same = Callable[[str], str]
"""Lines are the same if this gives the same for both."""
Fit = Callable[["_Lines", Sequence[int], Reading], Sequence[str] | None]
"""(the file, numbers of lines that match, reading) -> the new lines; None: no match."""


def places(change: Change, text: str, path: str = "") -> list[Place]:
    """Find all matches of a change.

    Comparisons are tried in turn, and the first with a match wins: exact, ignoring white
    space at line ends, with another indentation; then the same for the lines as they were
    before they were escaped, numbered or fenced; then ignoring empty lines and comments;
    and last with lines `...` in place of others.

    Args:
        change: the block or hunk
        text: content of the file
        path: the file; its suffix selects the sign of comments

    Returns:
        Matches sorted by line; empty if there are none.
    """
    lines = _Lines([line.rstrip("\r\n") for line in split_lines(text)])
    readings = [change.readings, *_plain_readings(change.readings)]
    for tried in readings:
        if found := _places_of(lines, tried):
            return found
    for find in (_sparse_places, _parted_places):
        matches = {
            place
            for tried in readings
            for reading in tried
            for place in find(lines, _trim(reading), path)
        }
        if matches:
            return sorted(matches, key=lambda place: place.first)
    return []


def _places_of(lines: "_Lines", readings: Sequence[Reading]) -> list[Place]:
    for same, fit in _COMPARISONS:
        for trimmed in (False, True):
            found = [
                place
                for reading in readings
                for place in _all_places(
                    lines, same, fit, _trim(reading) if trimmed else reading
                )
            ]
            if found:
                return sorted(set(found), key=lambda place: place.first)
    return []


class _Lines:
    """The lines of a text, searched for several lines in linear time."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self._joined: dict[Same, tuple[str, list[int]]] = {}

    @cached_property
    def unit(self) -> int:
        """Blanks for one level of indentation."""
        return unit_of(self.lines)

    def starts(self, search: Sequence[str], same: Same) -> Iterator[int]:
        """Yield where lines begin that are the same as `search`, after `same`."""
        if same not in self._joined:
            kept = [same(line) for line in self.lines]
            starts = list(accumulate((len(line) + 1 for line in kept), initial=0))
            self._joined[same] = "\n".join(["", *kept, ""]), starts
        text, starts = self._joined[same]
        wanted = "\n".join(["", *map(same, search), ""])
        at = text.find(wanted)
        while at >= 0:
            yield bisect_left(starts, at)
            at = text.find(wanted, at + 1)


def _all_places(lines: _Lines, same: Same, fit: Fit, reading: Reading) -> list[Place]:
    """Return matches of a reading, of at most `MAX_PLACES` candidates."""
    size, found = len(reading.search), []
    starts = lines.starts(reading.search, same) if size else ()
    for first in islice(starts, MAX_PLACES):
        replace = fit(lines, range(first, first + size), reading)
        if replace is not None:
            found.append(Place(first, first + size, tuple(replace)))
    return found


def _unchanged(lines: _Lines, at: Sequence[int], reading: Reading) -> Sequence[str]:
    return reading.replace


def _indented(
    lines: _Lines, at: Sequence[int], reading: Reading
) -> Sequence[str] | None:
    """Return the new lines, indented as the file is."""
    pairs = [
        (_indent(lines.lines[number]), _indent(line))
        for number, line in zip(at, reading.search, strict=True)
        if line.strip()
    ]
    return reindented(pairs, reading.replace, lines.unit)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


_COMPARISONS: tuple[tuple[Same, Fit], ...] = (
    (str, _unchanged),
    (str.rstrip, _unchanged),
    (str.strip, _indented),
)


def _trim(reading: Reading) -> Reading:
    """Remove empty lines at both ends, which the program may not have."""
    search, replace = list(reading.search), list(reading.replace)
    for end in (0, -1):
        while search and not search[end].strip():
            del search[end]
            if replace and not replace[end].strip():
                del replace[end]
    return Reading(tuple(search), tuple(replace))


def _plain_readings(readings: Sequence[Reading]) -> Iterator[Sequence[Reading]]:
    """Yield readings without what is around the lines or in them, one thing after another."""
    for plain in (_without_fence, _without_hints, unnumbered, unescaped, retyped):
        new = [_plain(reading, plain) for reading in readings]
        if any(reading is not None for reading in new):
            readings = [
                b if b is not None else a for a, b in zip(readings, new, strict=True)
            ]
            yield readings


def _plain(reading: Reading, plain: Plain) -> Reading | None:
    search, replace = plain(reading.search), plain(reading.replace)
    if search is None:
        return None
    return Reading(
        tuple(search), reading.replace if replace is None else tuple(replace)
    )


def _without_fence(lines: Sequence[str]) -> Sequence[str] | None:
    """Remove a fence around the lines; None if there is none."""
    full = [k for k, line in enumerate(lines) if line.strip()]
    if len(full) < 2:
        return None
    marks = FENCE.match(lines[full[0]]), FENCE.match(lines[full[-1]])
    return lines[full[0] + 1 : full[-1]] if all(marks) else None


def _without_hints(lines: Sequence[str]) -> Sequence[str] | None:
    """Remove line numbers above the lines, as editors of agents write them."""
    first = 0
    while first < len(lines) and _HINT.match(lines[first].strip()):
        first += 1
    if first and first < len(lines) and set(lines[first].strip()) == {"-"}:
        first += 1
    return lines[first:] if first else None


def _sparse_places(lines: _Lines, reading: Reading, path: str) -> list[Place]:
    """Return matches of the code alone, without empty lines and comments."""
    sign = comment_sign(path)
    code = [without_comment(line, sign).strip() for line in lines.lines]
    at = [number for number, line in enumerate(code) if line]
    wanted = tuple(
        line for line in reading.search if without_comment(line, sign).strip()
    )
    found = []
    search = [without_comment(line, sign) for line in wanted]
    starts = _Lines([code[number] for number in at]).starts(search, str.strip)
    for first in islice(starts if wanted else (), MAX_PLACES):
        numbers = at[first : first + len(wanted)]
        new = _indented(lines, numbers, Reading(wanted, reading.replace))
        if new is not None:
            found.append(Place(numbers[0], numbers[-1] + 1, tuple(new)))
    return found


def _parted_places(lines: _Lines, reading: Reading, path: str) -> list[Place]:
    """Return the match of lines that leave out others, if each part matches once."""
    parts, news = _without_ends(_parts(reading.search), _parts(reading.replace))
    if not all(parts) or len(news) not in (1, len(parts)):
        return []
    spans: list[range] = []
    for part in parts:
        starts = list(islice(lines.starts(part, str.strip), 2))
        if len(starts) != 1 or (spans and starts[0] < spans[-1].stop):
            return []
        spans.append(range(starts[0], starts[0] + len(part)))
    gaps = [lines.lines[a.stop : b.start] for a, b in pairwise(spans)]
    depth = len(_indent(lines.lines[spans[0].start]))
    deeper = all(
        len(_indent(line)) > depth for gap in gaps for line in gap if line.strip()
    )
    if len(news) == 1 and not deeper:
        return []  # it would remove more than the body of one definition
    at = [number for span in spans for number in span]
    search = tuple(line for part in parts for line in part)
    new: list[str] = []
    for k, part in enumerate(news):
        fitted = _indented(lines, at, Reading(search, tuple(part)))
        if fitted is None:
            return []
        new += [*fitted, *(gaps[k] if k < len(news) - 1 else ())]
    return [Place(spans[0].start, spans[-1].stop, tuple(new))]


def _without_ends(
    parts: list[list[str]], news: list[list[str]]
) -> tuple[list[list[str]], list[list[str]]]:
    """Remove lines at the ends that are around the change, on both sides."""
    for end in (0, -1):
        if len(parts) > 1 and len(news) > 1 and not parts[end] and not news[end]:
            del parts[end], news[end]
    return parts, news


def _parts(lines: Sequence[str]) -> list[list[str]]:
    """Split lines where one stands for others; empty lines around it don't count."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if stands_for_code(line.strip()):
            parts.append([])
        else:
            parts[-1].append(line)
    return [list(_trim(Reading(tuple(part), ())).search) for part in parts]
