"""The file's own indentation for new lines that a model indents in another way."""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import gcd

Pairs = Sequence[tuple[str, str]]
"""Indentations of the same lines: (of the file, of the reply)."""
_USUAL = (4, 8)  # blanks that a reply writes for a tab
_DEFAULT = 4


def reindented(pairs: Pairs, lines: Sequence[str], unit: int) -> list[str] | None:
    """Indent new lines as the file is indented.

    Args:
        pairs: indentations of the lines that match
        lines: the new lines, indented as the reply is
        unit: blanks for one level of the file

    Returns:
        The new lines; None if the indentations don't correspond.
    """
    if not pairs:
        return None
    for indent in (_as_in_file, _shift, _same_depths, _linear):
        new = indent(pairs, [_indent(line) for line in lines if line.strip()], unit)
        if new is not None:
            left = iter(new)
            return [
                next(left) + line.lstrip() if line.strip() else line for line in lines
            ]
    return None


def unit_of(lines: Iterable[str]) -> int:
    """Return how many blanks a file has for one level.

    Args:
        lines: of the file

    Returns:
        The most frequent number of blanks by which a line is deeper than the one before.
    """
    steps: Counter[int] = Counter()
    before = 0
    for line in lines:
        if line.strip() and not line.startswith("\t"):
            size = len(_indent(line))
            steps[size - before] += size > before
            before = size
    return max(steps, key=lambda step: (steps[step], -step)) if +steps else _DEFAULT


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _as_in_file(pairs: Pairs, indents: Sequence[str], unit: int) -> list[str] | None:
    """Map if new lines are indented as the file is; only the first may lack its indent."""
    # models often strip the first line, or all lines that they search for
    there, given = pairs[0]
    if not indents or not there.endswith(given) or there == given:
        return None
    if indents[0] == there:
        return list(indents)
    alike = len(pairs) > 1 and all(a == b for a, b in pairs[1:])
    return [there, *indents[1:]] if alike and indents[0] == given else None


def _shift(pairs: Pairs, indents: Sequence[str], unit: int) -> list[str] | None:
    """Map if all lines are indented more or less by the same white space."""
    there, given = pairs[0]
    if there.endswith(given):
        more = there[: len(there) - len(given)]
        if all(a == more + b for a, b in pairs):
            return [more + indent for indent in indents]
    elif given.endswith(there):
        less = given[: len(given) - len(there)]
        if all(b == less + a for a, b in pairs) and all(
            indent.startswith(less) for indent in indents
        ):
            return [indent.removeprefix(less) for indent in indents]
    return None


def _same_depths(pairs: Pairs, indents: Sequence[str], unit: int) -> list[str] | None:
    """Map if each new indentation is one of the lines that match."""
    depth = {given: there for there, given in pairs}
    if (
        any(depth[b] != a for a, b in pairs)
        or len(set(depth.values())) < len(depth)
        or any(indent not in depth for indent in indents)
    ):
        return None
    return [depth[indent] for indent in indents]


def _linear(pairs: Pairs, indents: Sequence[str], unit: int) -> list[str] | None:
    """Map levels of the reply to levels of the file, such as 4 blanks to a tab."""
    ours, theirs = {a for a, _ in pairs}, {b for _, b in pairs} | set(indents)
    own = _sign(ours)
    if own is None or _sign(theirs) is None:
        return None
    size = {len(b): len(a) for a, b in pairs}
    if any(size[len(b)] != len(a) for a, b in pairs):
        return None
    widths = [len(indent) for indent in indents]
    step = _ratio(size, widths, 1 if own == "\t" else unit)
    given, there = min(size.items())
    new = [there + (width - given) * step for width in widths]
    if step <= 0 or any(
        there != size[given] + (width - given) * step for width, there in size.items()
    ):
        return None
    if any(length < 0 or length.denominator != 1 for length in new):
        return None
    return [own * int(length) for length in new]


def _sign(indents: Iterable[str]) -> str | None:
    """Return the white space that all indentations consist of; None if they differ."""
    signs = set("".join(indents))
    return None if len(signs) > 1 or signs - {" ", "\t"} else "".join(signs) or " "


def _ratio(size: dict[int, int], widths: Sequence[int], unit: int) -> Fraction:
    """Return the file's indentation for one sign of the reply's."""
    given, there = min(size.items())
    if len(size) > 1:
        deepest = max(size)
        return Fraction(size[deepest] - there, deepest - given)
    if there and unit == 1 and given / there in _USUAL:
        return Fraction(there, given)
    step = gcd(*(abs(width - given) for width in widths))
    return Fraction(unit, step) if step else Fraction(1)
