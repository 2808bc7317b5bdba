"""Code without what chats and editors put around or into its lines."""

import ast
import html
import re
import textwrap
from collections.abc import Callable, Sequence

from evolve.operators.edits.definitions import parse_python

# number, its separator, the line
_NUMBERED = re.compile(r"^[ \t]*(\d{1,6})[ \t]?([|│:.)\t])(.*)$")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#0?39|#x27);")
_ENTITY_NAMES = {"lt", "gt", "amp", "quot"}
_TYPESET = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u00a0\u2007\u202f", " "),
        **dict.fromkeys("\u2010\u2011\u2212", "-"),
        **dict.fromkeys("\u200b\u2060\ufeff", ""),
    }
)


def plain_program(text: str, old: str, python: bool) -> str:
    """Return the program that a text shows.

    Nothing is changed that could be meant: a Python program that parses stays as it is,
    and what does not parse is changed only if it parses afterwards.

    Args:
        text: content of a code block
        old: the program that it replaces
        python: whether it is Python

    Returns:
        The program; `text` if it shows none in another form.
    """
    text = text.removeprefix("\ufeff")
    if not python:
        return _of_any_language(text, old)
    if parse_python(text) is not None and not _names_entities(text, old):
        return text
    new = text
    for change in (textwrap.dedent, without_numbers, without_entities, typed):
        if change is typed and typed(old) != old:
            continue  # these characters are the program's own
        new = change(new)
        if parse_python(new) is not None:
            return new
    return text


def _of_any_language(text: str, old: str) -> str:
    new = without_numbers(text)
    escaped = _ENTITY.search(new) and not _ENTITY.search(old)
    marked = any(sign in old for sign in "<>&")
    return without_entities(new) if escaped and marked else new


def _names_entities(text: str, old: str) -> bool:
    """Return whether escaped code only happens to parse, as `a &lt; b` does."""
    if not _ENTITY.search(text) or _ENTITY.search(old):
        return False
    tree = parse_python(text)
    names = {
        node.id
        for node in ast.walk(tree or ast.Module([], []))
        if isinstance(node, ast.Name)
    }
    return (
        bool(names & _ENTITY_NAMES) and parse_python(without_entities(text)) is not None
    )


def without_entities(text: str) -> str:
    """Return a text with signs that were escaped for HTML as it was before.

    Args:
        text: any text

    Returns:
        The text itself if it has a sign that HTML would have escaped.
    """
    if any(sign in text for sign in "<>") or "&" in _ENTITY.sub("", text):
        return text
    return html.unescape(text) if _ENTITY.search(text) else text


def without_numbers(text: str) -> str:
    """Return a text without line numbers.

    Args:
        text: any text

    Returns:
        The text itself unless each line begins with its number.
    """
    plain = unnumbered(text.split("\n"))
    return text if plain is None else "\n".join(plain)


def unnumbered(lines: Sequence[str]) -> list[str] | None:
    """Remove line numbers.

    Args:
        lines: of a program

    Returns:
        The lines after their numbers; None unless each line that is not empty begins
        with a number, one more than that of the line before.
    """
    found = [_NUMBERED.match(line) for line in lines if line.strip()]
    marks = [mark for mark in found if mark is not None]
    if not marks or len(marks) < len(found):
        return None
    first = int(marks[0][1])
    empty_lines = [not line.strip() for line in lines]
    numbers = [int(mark[1]) for mark in marks]
    if len({mark[2] for mark in marks}) > 1 or not _counts(numbers, first, empty_lines):
        return None
    rests = [mark[3] for mark in marks]
    gap = all(rest.startswith(" ") for rest in rests if rest.strip())
    left = iter([rest[1:] if gap else rest for rest in rests])
    return ["" if empty else next(left) for empty in empty_lines]


def _counts(numbers: Sequence[int], first: int, empty_lines: Sequence[bool]) -> bool:
    """Return whether lines are counted: with the empty ones among them, or without."""
    with_empty = [
        first + k
        for k, empty in enumerate(empty_lines[empty_lines.index(False) :])
        if not empty
    ]
    return list(numbers) in (with_empty, [first + k for k in range(len(numbers))])


def typed(text: str) -> str:
    """Return a text with the quotes, blanks and signs of a keyboard.

    Args:
        text: any text, perhaps with typographic quotes and hard blanks

    Returns:
        The text with the signs that programs have.
    """
    return text.translate(_TYPESET)


Plain = Callable[[Sequence[str]], Sequence[str] | None]
"""Lines -> the lines as they were before; None: they are plain already."""


def unescaped(lines: Sequence[str]) -> Sequence[str] | None:
    """Undo escaping for HTML, as `without_entities`; None if there is none."""
    text = "\n".join(lines)
    return None if without_entities(text) == text else html.unescape(text).split("\n")


def retyped(lines: Sequence[str]) -> Sequence[str] | None:
    """Replace typographic signs, as `typed`; None if there are none."""
    text = "\n".join(lines)
    return None if typed(text) == text else typed(text).split("\n")
