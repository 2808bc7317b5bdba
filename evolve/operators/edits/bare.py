"""A program that a reply writes among its prose, without a fence."""

import ast
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

from evolve.operators.edits.definitions import (
    defined_names,
    first_line,
    parse_python,
)
from evolve.operators.edits.lines import lines_of
from evolve.operators.python_source import syntax_error

_CODE = re.compile(
    r"^[ \t]*(?:import \w|from [\w.]+ import |def \w|class \w|async def |@\w|#|\"\"\"|'''"
    r"|[A-Za-z_]\w*(?:: ?[\w.\[\]]+)? = )"
)
_DEFINITION = re.compile(
    r"^[ \t]*(?:import [\w.]+$|from [\w.]+ import |(?:async )?def \w+\(|class \w+[:(]"
    r"|[A-Za-z_][\w.]* [-+*/]?= |(?:if|for|while|with) [^:]*:$|@\w+$)"
)
MAX_TRIES = 12


def bare_program(text: str, names: Collection[str]) -> str | None:
    """Find the Python program in a text without fences, or in a block without an end.

    Args:
        text: the reply, or a part of it
        names: names that the program may define

    Returns:
        The program; None if there is none that defines one of the names, or if there is
        more code outside it.
    """
    lines = lines_of(text)
    begins = (k for k, line in enumerate(lines) if _CODE.match(line))
    first = next(begins, None)
    last = _end_of_margin(lines, first)
    for _ in range(MAX_TRIES):
        if first is None or first >= last:
            return None
        found = textwrap.dedent("\n".join(lines[first:last]))
        wrong = _first_error(found)
        if wrong:
            last = _prose_from(lines, first + wrong, first)
        elif wrong is None and set(names) & defined_names(found):
            outside = (*lines[:first], *lines[last:])
            return None if has_definitions(outside) else _ended(found)
        else:
            first = next(begins, None)
            last = _end_of_margin(lines, first)
    return None


def _end_of_margin(lines: Sequence[str], first: int | None) -> int:
    """Return the line from which on lines are indented less than the first one."""
    if first is None:
        return 0
    margin = _margin(lines[first])
    following = range(first, len(lines))
    less = (k for k in following if lines[k].strip() and _margin(lines[k]) < margin)
    return next(less, len(lines))


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def without_glued_fence(text: str) -> str:
    """Remove a fence that a model wrote at the end of the last line of code.

    Args:
        text: content of a block without an end

    Returns:
        The text; as it is if more than one line ends so.
    """
    lines = text.split("\n")
    ends = [k for k, line in enumerate(lines) if line.rstrip().endswith("```")]
    if len(ends) == 1 and lines[ends[0]].strip().strip("`"):
        lines[ends[0]] = lines[ends[0]].rstrip().rstrip("`")
    return "\n".join(lines)


def has_definitions(lines: Iterable[str]) -> bool:
    """Return whether a line looks like a statement, so that it may be code.

    Args:
        lines: of prose, perhaps
    """
    return any(map(_DEFINITION.match, lines))


def _first_error(text: str) -> int | None:
    """Return the line where a text stops being Python, from 0; None if it is Python."""
    if parse_python(text) is not None:
        return None
    error = syntax_error(text)
    line = error.lineno if isinstance(error, SyntaxError) else None
    return max(0, min((line or 1) - 1, text.count("\n")))


def _prose_from(lines: Sequence[str], wrong: int, first: int) -> int:
    """Return the line from which on a text is prose: that of an error, or before it."""
    margin = _margin(lines[first])
    for number in range(wrong, first, -1):
        line = lines[number]
        if line.strip() and _margin(line) <= margin:
            return number
    return first


def _ended(text: str) -> str:
    """Return the program without words at its ends that happen to be Python."""
    tree = parse_python(text)
    body = list(tree.body) if tree is not None else []
    while body and _is_word(body[-1]):
        body.pop()
    start = next((node for node in body if not _is_word(node)), None)
    lines = text.split("\n")
    if start is None or tree is None:
        return text
    cut_head = start is not tree.body[0]
    cut_tail = body[-1] is not tree.body[-1]
    first = first_line(start) - 1 if cut_head else 0
    last = body[-1].end_lineno if cut_tail else len(lines)
    return "\n".join(lines[first:last]).rstrip() + "\n"


def _is_word(node: ast.stmt) -> bool:
    """Return whether a statement does nothing, such as a single word."""
    return isinstance(node, ast.Expr) and not isinstance(
        node.value, (ast.Call, ast.Await, ast.Constant)
    )
