"""Text from models and candidates, made safe to display.

Control characters could control a terminal; characters that change the direction of writing
could make code look like other code (Boucher and Anderson 2021, "Trojan Source", arXiv
2111.00169). Both are replaced by visible symbols.
"""

import itertools
import json
import math
import re
import shlex
from collections.abc import Callable
from typing import Any

Note = Callable[[str], None]
"""Reports one line to a person."""
Data = dict[str, Any]
"""Plain data by name, as a JSON object holds it."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


def _written_out(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"‹U+{code:04X}›"


_LATER = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_SHOWN = {
    code: _written_out(code)
    for code in (*range(0xA0), *_LATER)
    if _UNSEEN.match(chr(code))
}


def quoted(word: object) -> str:
    """Return a word as a person can paste it into a shell.

    Args:
        word: A name or a path.
    """
    return shlex.quote(str(word))


def visible(text: str) -> str:
    """Replace invisible characters by visible symbols.

    Args:
        text: Any text.

    Returns:
        The text; tabs and line ends are unchanged.
    """
    return text.translate(_SHOWN) if _UNSEEN.search(text) else text


def json_line(data: Any) -> str:
    """Return data as one line of JSON that is safe to display.

    Args:
        data: JSON data.

    Returns:
        The line without its end; control characters are escaped, other letters are not.
    """
    text = json.dumps(data, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: object, most: int = 100) -> str:
    """Return the beginning of a text on one line, safe to display.

    Args:
        text: A text, or any object.
        most: Maximum length, in characters.

    Returns:
        The line, with an ellipsis if it was cut.
    """
    line = visible(" ".join(str(text).split()))
    return line if len(line) <= most else line[: most - 1] + "…"


FULL_DIGITS = 17  # enough to distinguish any two numbers of 64 bits
_EXACT = 0.05  # largest relative error of a difference that a person reads off


def told_apart(*numbers: float | None, least: int = 6) -> list[str]:
    """Return numbers with as few digits as show their differences.

    Args:
        numbers: Numbers that a person compares; None is shown as a dash.
        least: Least number of significant digits.

    Returns:
        One text for each, all with the same number of significant digits.
    """
    digits = digits_apart(*numbers, least=least)
    return ["–" if value is None else f"{value:.{digits}g}" for value in numbers]


def digits_apart(*numbers: float | None, least: int = 6) -> int:
    """Return how many significant digits show the differences between numbers.

    Args:
        numbers: Numbers that a person compares; None is ignored.
        least: Least number of digits.

    Returns:
        At most `FULL_DIGITS`.
    """
    known = [value for value in numbers if value is not None and math.isfinite(value)]
    pairs = list(itertools.combinations(known, 2))
    return next(
        (
            count
            for count in range(least, FULL_DIGITS)
            if all(_shows_difference(a, b, count) for a, b in pairs)
        ),
        FULL_DIGITS,
    )


def _shows_difference(a: float, b: float, digits: int) -> bool:
    shown = float(f"{a:.{digits}g}") - float(f"{b:.{digits}g}")
    return abs(shown - (a - b)) <= _EXACT * abs(a - b)
