"""A change of whole lines, found in a text where it stands exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evolve.operators.base import Rejected
from evolve.tasks import Region, editable_region, split_lines

CLOSE_LINES = 3
_SHOWN_REGIONS = 4


@dataclass(frozen=True)
class Reading:
    """These whole lines give way to those."""

    search: tuple[str, ...]
    replace: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One block or hunk of a reply. What can be read in several ways must fit in one of them only."""

    readings: tuple[Reading, ...]
    path: str  # empty when the reply named no file

    @property
    def search(self) -> tuple[str, ...]:
        return self.readings[0].search

    @property
    def creates(self) -> bool:
        """True when it searches nothing, so that it can only be a new file."""
        return not any(line.strip() for line in self.search)


@dataclass(frozen=True)
class Place:
    """Where a reading stands, and its replacement with the indentation of that place."""

    first: int
    last: int
    replace: tuple[str, ...]


Fit = Callable[[Sequence[str], Reading], Sequence[str] | None]
"""(lines of the text, reading) -> the lines to put there; None when these are not the lines."""


def apply_change(change: Change, text: str, path: str, number: int) -> str:
    """The text with one change. Raises `Rejected` unless it fits exactly once."""
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
            f"block {number}: its SEARCH lines stand {len(inside)} times in "
            f"{path}, they must stand once.{more}",
        )
    return _put(inside[0], text)


def places(change: Change, text: str) -> list[Place]:
    """Where a change fits: exactly, else without white space at line ends, else indented otherwise."""
    lines = [line.rstrip("\r\n") for line in split_lines(text)]
    for fit in (_exact, _without_trailing, _indented):
        for trimmed in (False, True):
            found = [
                place
                for reading in change.readings
                for place in _all_places(
                    fit, lines, _trim(reading) if trimmed else reading
                )
            ]
            if found:
                return sorted(set(found), key=lambda place: place.first)
    return []


def _all_places(fit: Fit, lines: Sequence[str], reading: Reading) -> list[Place]:
    size = len(reading.search)
    found = []
    for first in range(len(lines) - size + 1) if size else ():
        replace = fit(lines[first : first + size], reading)
        if replace is not None:
            found.append(Place(first, first + size, tuple(replace)))
    return found


def _exact(lines: Sequence[str], reading: Reading) -> Sequence[str] | None:
    return reading.replace if tuple(lines) == reading.search else None


def _without_trailing(lines: Sequence[str], reading: Reading) -> Sequence[str] | None:
    same = all(
        a.rstrip() == b.rstrip() for a, b in zip(lines, reading.search, strict=True)
    )
    return reading.replace if same else None


def _indented(lines: Sequence[str], reading: Reading) -> Sequence[str] | None:
    """The same code, all of it deeper or all of it less deep by the same white space."""
    if any(a.strip() != b.strip() for a, b in zip(lines, reading.search, strict=True)):
        return None
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
    """Tabs for blanks, or the other way: each depth of the reply is one depth of the file."""
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


def _trim(reading: Reading) -> Reading:
    """Without empty lines at the ends that the program does not have."""
    search, replace = list(reading.search), list(reading.replace)
    for end in (0, -1):
        while search and not search[end].strip():
            del search[end]
            if replace and not replace[end].strip():
                del replace[end]
    return Reading(tuple(search), tuple(replace))


def _put(place: Place, text: str) -> str:
    """New lines end as the file's lines do; a file without a last line end stays without one."""
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
    """The file that a block is for: the named one, the only one, or the only one it fits."""
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
    """The lines that look most like what was searched, for the error message."""
    from rapidfuzz import fuzz, process

    lines = [line.rstrip("\r\n") for line in split_lines(text)]
    stand = {line.strip() for line in lines}
    wanted = [line for line in change.search if line.strip()]
    missing = next((line for line in wanted if line.strip() not in stand), wanted[0])
    found = process.extract(missing, lines, scorer=fuzz.ratio, limit=CLOSE_LINES)
    listed = "".join(f"\n  line {index + 1}: {line}" for line, _, index in found)
    return f" The closest lines to {missing!r} are:{listed}"


def _where(found: Sequence[Place]) -> str:
    lines = ", ".join(str(place.first + 1) for place in found)
    return f" They begin at the lines {lines}: copy more lines around them."


def _regions(region: Region) -> str:
    spans = [f"{first + 1} to {last}" for first, last in region.blocks[:_SHOWN_REGIONS]]
    return f"\nEditable are the lines {', '.join(spans)}."
