"""A replacement of whole lines, applied where they match exactly once."""

from collections.abc import Mapping, Sequence

from evolve.operators.base import Rejected
from evolve.operators.edits.places import Change, Place, places
from evolve.tasks import Region, editable_region, split_lines

CLOSE_LINES = 3
_SHOWN_REGIONS, _SHOWN_CHARS = 4, 500


def apply_change(change: Change, text: str, path: str, number: int) -> str:
    """Apply one change to a text.

    Args:
        change: the block or hunk
        text: content of the file
        path: the file, for its comments and for error messages
        number: of the block, counted from 1, for error messages

    Returns:
        The new text.

    Raises:
        Rejected: no match, several matches, or a match outside the editable region
    """
    region = editable_region(text)
    found = places(change, text, path)
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
    fitting = [path for path, text in texts.items() if places(change, text, path)]
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
    return (
        f" Copy whole lines of the current program, letter by letter. The closest lines to "
        f"{missing!r} are:{listed}"
    )


def _where(found: Sequence[Place]) -> str:
    lines = ", ".join(str(place.first + 1) for place in found)
    return f" They begin at the lines {lines}: copy more of the lines around them."


def _regions(region: Region) -> str:
    spans = [f"{first + 1} to {last}" for first, last in region.blocks[:_SHOWN_REGIONS]]
    return f"\nThe editable lines are {', '.join(spans)}."
