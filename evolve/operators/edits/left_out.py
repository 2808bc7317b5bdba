"""Lines in place of code that a reply leaves out."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from evolve.operators.edits.definitions import parse_python

# of a line without white space at its ends
_DOTS = re.compile(r"(?:#|//|--|/\*|%|;)?\s*(?:\.\.\.|…)(.*)")
_KEPT = re.compile(r"(?i)rest|existing|unchanged|same|remain|previous|other|omitted")
_REST_OF = re.compile(
    r"(?i)(?:#|//|--)\s*\(?(?:keep )?(?:the )?(?:rest of|existing|remaining|other)"
    r"\b.*?\b(?:code|unchanged|same|here|functions?|methods?|as before)\b"
)
_ANY = re.compile(r"(?i)\.\.\.|…|rest of|existing|remaining|other")
_EMPTY_BASES = {"Protocol"}
_EMPTY_MARKS = {"overload", "abstractmethod"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class LeftOut(NamedTuple):
    """A line in place of code.

    Attributes:
        line: number in the text, counted from 1
        column: its indentation
        text: the line without white space at its ends
    """

    line: int
    column: int
    text: str


def left_out(text: str, old: str, python: bool) -> list[LeftOut]:
    """Find the lines of a new text that replace code of the old one.

    Args:
        text: the new text
        old: the text that it replaces; its own lines of this kind are allowed
        python: whether it is Python, where `...` may be a body

    Returns:
        Them by line; empty if the text is whole.
    """
    given = _all_of(text, old, python)
    if not given:
        return []
    known = Counter(found.text for found in _all_of(old, old, python))
    new = []
    for found in given:
        known[found.text] -= 1
        if known[found.text] < 0:
            new.append(found)
    return new


def stands_for_code(line: str) -> bool:
    """Return whether a line is in place of code that is left out.

    Args:
        line: without white space at its ends
    """
    dots = _DOTS.match(line)
    if dots is None:
        return _REST_OF.match(line) is not None
    return not dots[1].strip(" */") or _KEPT.search(dots[1]) is not None


def _all_of(text: str, old: str, python: bool) -> list[LeftOut]:
    lines = enumerate(text.split("\n"), start=1) if _ANY.search(text) else ()
    found = [
        LeftOut(number, len(line) - len(line.lstrip()), line.strip())
        for number, line in lines
        if stands_for_code(line.strip())
    ]
    tree = parse_python(text) if python and found else None
    if tree is None:
        return found
    quoted, dots = _quoted(tree), _dots_of(tree, old)
    return [
        one
        for one in found
        if one.line not in quoted
        and (one.text not in ("...", "…") or dots.get(one.line, False))
    ]


def _quoted(tree: ast.Module) -> set[int]:
    """Return the lines that begin inside a string, such as those of a docstring."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr))
        and (isinstance(node, ast.JoinedStr) or isinstance(node.value, str))
        for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }


def _dots_of(tree: ast.Module, old: str) -> dict[int, bool]:
    """Return for each line with a statement `...` whether it stands for code."""
    before = parse_python(old)
    empty = {name for name, *_ in _empty_bodies(before)}
    known = _qualified(before)
    found = {
        node.lineno: True
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and _is_dots(node)
    }
    for name, owner, within in _empty_bodies(tree):
        new_class = isinstance(owner, ast.ClassDef) and name not in known
        if name in empty or new_class or _may_be_empty(owner, within):
            found[owner.body[-1].lineno] = False
    return found


def _is_dots(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and node.value.value is ...
    )


_Owner = _Function | ast.ClassDef


def _owners(
    body: list[ast.stmt], prefix: str = "", within: ast.ClassDef | None = None
) -> Iterator[tuple[str, _Owner, ast.ClassDef | None]]:
    """Yield functions and classes of a module and of its classes, with their names."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield f"{prefix}{node.name}", node, within
        if isinstance(node, ast.ClassDef):
            yield from _owners(node.body, f"{prefix}{node.name}.", node)


def _qualified(tree: ast.Module | None) -> set[str]:
    return set() if tree is None else {name for name, _, _ in _owners(tree.body)}


def _empty_bodies(
    tree: ast.Module | None,
) -> Iterator[tuple[str, _Owner, ast.ClassDef | None]]:
    """Yield functions and classes whose body is only `...` after its docstring."""
    for name, node, within in _owners(tree.body if tree is not None else []):
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if len(body) == 1 and _is_dots(body[0]):
            yield name, node, within


def _may_be_empty(owner: _Owner, within: ast.ClassDef | None) -> bool:
    """Return whether `...` is the usual body: in a protocol, an overload, a stub."""
    marks = {_last_name(mark) for mark in owner.decorator_list}
    bases = {_last_name(base) for base in within.bases} if within else set()
    return bool(marks & _EMPTY_MARKS or bases & _EMPTY_BASES)


def _last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, such as Protocol of typing.Protocol[T]."""
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
