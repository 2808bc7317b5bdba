"""A replacement of whole lines, applied where they match exactly once."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from evolve.operators.base import Rejected
from evolve.tasks import Region, editable_region, split_lines

CLOSE_LINES = 3
MAX_PLACES = 100  # candidates for a match that are looked at
_SHOWN_REGIONS, _SHOWN_CHARS = 4, 500


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
Fit = Callable[[Sequence[str], Reading], Sequence[str] | None]
"""(lines that match but for white space, reading) -> the new lines; None: no match."""


def apply_change(change: Change, text: str, path: str, number: int) -> str:
    """Apply one change to a text.

    Args:
        change: the block or hunk
        text: content of the file
        path: the file, for error messages
        number: of the block, counted from 1, for error messages

    Returns:
        The new text.

    Raises:
        Rejected: no match, several matches, or a match outside the editable region
    """
    region = editable_region(text)
    found = places(change, text)
    inside = [place for place in found if region.contains(place.first, place.last)]
    if found and not inside:
        place = found[0]
        raise Rejected(
            "region",
            f"block {number}: lines {place.first + 1} to {place.last} of {path} "
            f"are not in the editable region.{_regions(region)}",
        )
    if len(inside) != 1:
        more = _where(inside) if inside else closest(change, text) + _regions(region)
        raise Rejected(
            "unparsable",
            f"block {number}: its SEARCH lines match {len(inside)} places in "
            f"{path}; they must match exactly one.{more}",
        )
    return _put(inside[0], text)


def places(change: Change, text: str) -> list[Place]:
    """Find all matches of a change.

    Three comparisons are tried in turn, and the first with a match wins: exact,
    ignoring white space at line ends, and with another indentation.

    Args:
        change: the block or hunk
        text: content of the file

    Returns:
        Matches sorted by line; empty if there are none.
    """
    lines = _Lines([line.rstrip("\r\n") for line in split_lines(text)])
    for same, fit in _COMPARISONS:
        for trimmed in (False, True):
            found = [
                place
                for reading in change.readings
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
        replace = fit(lines.lines[first : first + size], reading)
        if replace is not None:
            found.append(Place(first, first + size, tuple(replace)))
    return found


def _unchanged(lines: Sequence[str], reading: Reading) -> Sequence[str]:
    return reading.replace


def _indented(lines: Sequence[str], reading: Reading) -> Sequence[str] | None:
    """Match the same code, indented more or less by the same white space throughout."""
    pairs = [
        (_indent(a), _indent(b))
        for a, b in zip(lines, reading.search, strict=True)
        if a.strip()
    ]
    if not pairs:
        return None
    there, given = pairs[0]
    if there.endswith(given):
        more = there[: len(there) - len(given)]
        if all(a == more + b for a, b in pairs):
            return [more + line if line.strip() else line for line in reading.replace]
    elif given.endswith(there):
        less = given[: len(given) - len(there)]
        fits = all(b == less + a for a, b in pairs)
        if fits and all(
            line.startswith(less) for line in reading.replace if line.strip()
        ):
            return [line.removeprefix(less) for line in reading.replace]
    return _other_blanks(pairs, reading)


def _other_blanks(
    pairs: Sequence[tuple[str, str]], reading: Reading
) -> Sequence[str] | None:
    """Match tabs for blanks or the reverse: each depth maps to one of the file."""
    depth = {given: there for there, given in pairs}
    code = [line for line in reading.replace if line.strip()]
    if (
        any(depth[b] != a for a, b in pairs)
        or len(set(depth.values())) < len(depth)
        or any(_indent(line) not in depth for line in code)
    ):
        return None
    return [
        depth[_indent(line)] + line.lstrip() if line.strip() else line
        for line in reading.replace
    ]


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


def _put(place: Place, text: str) -> str:
    """Return the text with the lines of a match replaced.

    New lines end as the file's do; a file without a final line end stays without one.
    """
    lines = split_lines(text)
    end = "\r\n" if lines[0].endswith("\r\n") else "\n"
    new = "".join(
        [
            *lines[: place.first],
            *(f"{line}{end}" for line in place.replace),
            *lines[place.last :],
        ]
    )
    return (
        new if text.endswith("\n") or place.last < len(lines) else new.removesuffix(end)
    )


def target(change: Change, texts: Mapping[str, str], number: int) -> str:
    """Return the file that a block applies to.

    Args:
        change: the block or hunk
        texts: editable files, path -> text
        number: of the block, counted from 1, for error messages

    Returns:
        The named file, the only file, or the only file that matches.

    Raises:
        Rejected: several files or none match
    """
    if change.path in texts:
        return change.path
    if len(texts) == 1:
        return next(iter(texts))
    fitting = [path for path, text in texts.items() if places(change, text)]
    if len(fitting) != 1:
        raise Rejected(
            "unparsable",
            f"block {number} fits {len(fitting)} files; write the path on the "
            f"line above it: {', '.join(texts)}",
        )
    return fitting[0]


def closest(change: Change, text: str) -> str:
    """Describe the lines most similar to the missing ones, for an error message.

    Args:
        change: a block without a match
        text: content of the file

    Returns:
        Up to `CLOSE_LINES` lines with their numbers.
    """
    from rapidfuzz import fuzz, process

    lines = [line.rstrip("\r\n")[:_SHOWN_CHARS] for line in split_lines(text)]
    stand = {line.strip() for line in lines}
    wanted = [line[:_SHOWN_CHARS] for line in change.search if line.strip()]
    missing = next((line for line in wanted if line.strip() not in stand), wanted[0])
    found = process.extract(missing, lines, scorer=fuzz.ratio, limit=CLOSE_LINES)
    listed = "".join(f"\n  line {index + 1}: {line}" for line, _, index in found)
    return f" The closest lines to {missing!r} are:{listed}"


def _where(found: Sequence[Place]) -> str:
    lines = ", ".join(str(place.first + 1) for place in found)
    return f" They begin at the lines {lines}: copy more of the lines around them."


def _regions(region: Region) -> str:
    spans = [f"{first + 1} to {last}" for first, last in region.blocks[:_SHOWN_REGIONS]]
    return f"\nThe editable lines are {', '.join(spans)}."
