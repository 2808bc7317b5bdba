"""Partial Python programs: their definitions replace those of the same name."""

import ast
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from evolve.operators.base import Rejected

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Import = ast.Import | ast.ImportFrom


@lru_cache(16)  # several steps of one edit look at the same texts
def parse_python(text: str) -> ast.Module | None:
    """Parse a text as Python.

    Args:
        text: any text

    Returns:
        The syntax tree, shared and not to be modified; None if the text is not Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def defined_names(text: str) -> set[str]:
    """Return the functions, classes and variables defined at the top level.

    Args:
        text: any text

    Returns:
        Their names; empty if the text is not Python.
    """
    tree = parse_python(text)
    return (
        set() if tree is None else {name for node in tree.body for name in _names(node)}
    )


def definitions(text: str) -> dict[str, ast.stmt]:
    """Return the functions and classes at the top level of a text, by name.

    Args:
        text: any text

    Returns:
        Nodes of the shared syntax tree; empty if the text is not Python.
    """
    tree = parse_python(text)
    body = tree.body if tree is not None else []
    return {node.name: node for node in body if isinstance(node, _Definition)}


def has_definitions_only(text: str) -> bool:
    """Return whether a text is Python code that only imports and defines names.

    Args:
        text: any text
    """
    tree = parse_python(text)
    body = tree.body if tree is not None else []
    return bool(body) and all(
        isinstance(node, _Import) or _names(node) or _is_text(node) for node in body
    )


def merge_definitions(
    old: str,
    new: str,
    around: str = "",
    left_out: Collection[tuple[int, int]] = (),
    *,
    part: bool = False,
) -> str:
    """Return the new text, or the old one with the new definitions merged into it.

    They are merged if `new` lacks names that are still used, has none in common with
    `old`, defines nothing that is called from outside, or has lines in place of code.

    Args:
        old: the text to be replaced
        new: the text from the reply
        around: fixed text around `old`, searched for uses of its names
        left_out: line, counted from 1, and column of each line of `new` that stands for
            code of `old`; only between definitions
        part: `new` is surely a part

    Returns:
        The text to put in place of `old`.

    Raises:
        Rejected: `new` is a part, but has more than definitions that `old` also has and
            names that these use
    """
    before, after = parse_python(old), parse_python(new)
    if before is None or after is None:
        return new
    dropped = defined_names(old) - defined_names(new) - _imported(after)
    if not dropped and not left_out:
        return new
    missing = sorted(dropped & (_used(after) | _used(parse_python(around))))
    part = part or bool(missing or left_out) or _is_inner(before, new, around)
    if not part:
        return new
    merge = _Merge(old.split("\n"), new.split("\n"), left_out, _used(after))
    merge.bodies(before.body, after.body)
    if merge.foreign or not merge.edits:
        names = ", ".join(missing or sorted(dropped))
        what = f"it no longer defines {names}" if names else "it leaves code out"
        raise Rejected(
            "unparsable",
            f"the code block is only a part of the program ({what}); "
            "give the whole text",
        )
    return merge.text(before, after)


def _is_inner(before: ast.Module, new: str, around: str) -> bool:
    """Return whether a text defines nothing that others call: it is only a part."""
    names = {name for node in before.body for name in _names(node)}
    given = defined_names(new)
    if around or not names & given:
        return not names & given
    users = Counter(
        name for node in before.body for name in _used(ast.Module([node], []))
    )
    outer = {
        node.name
        for node in before.body
        if isinstance(node, _Definition)
        and users[node.name] == (node.name in _used(ast.Module([node], [])))
    }
    return bool(outer) and not outer & given


class _Edit(NamedTuple):
    """Lines of the old text, counted from 0, `last` excluded, and the new ones."""

    first: int
    last: int
    lines: Sequence[str]


@dataclass
class _Merge:
    """Definitions of a new text that replace those of an old one."""

    old: list[str]
    new: list[str]
    left_out: Collection[tuple[int, int]]
    used: set[str]
    edits: list[_Edit] = field(default_factory=list)
    foreign: bool = False  # something has no clear place in the old text

    def bodies(
        self,
        before: Sequence[ast.stmt],
        after: Sequence[ast.stmt],
        in_class: bool = False,
    ) -> None:
        """Note the edits that merge one body, of a module or class, into another."""
        places, names = _by_name(before), Counter(map(_own_name, after))
        added: list[str] = []
        first = None
        ends = [*map(first_line, after), len(self.new) + 1][1:]
        for node, following in zip(after, ends, strict=True):
            name = _own_name(node)
            if name is None:
                harmless = isinstance(node, _Import) or _is_text(node)
                self.foreign |= not (harmless or _is_example(node))
            elif names[name] > 1 or (name in places and places[name] is None):
                self.foreign = True
            elif (there := places.get(name)) is not None:
                at = first_line(there) - 1
                first = at if first is None else min(first, at)
                self._replace(there, node, following)
            elif not in_class and (method := _method(before, node)) is not None:
                self.edits.append(self._method_edit(method, node))
            elif in_class or name in self.used:
                added += [*self._lines(node), *([""] if in_class else ["", ""])]
            else:
                self.foreign = True
        if added and first is not None:
            self.edits.append(_Edit(first, first, added))
        self.foreign |= bool(added) and first is None

    def _replace(self, there: ast.stmt, node: ast.stmt, following: int) -> None:
        """Note that a definition takes the place of another, or is merged into it."""
        if isinstance(there, ast.ClassDef) and isinstance(node, ast.ClassDef):
            column = node.body[0].col_offset
            if any(
                node.lineno < line < following and at == column
                for line, at in self.left_out
            ):
                self.foreign |= column != there.body[0].col_offset
                self.bodies(there.body, node.body, in_class=True)
                return
        self.edits.append(
            _Edit(first_line(there) - 1, there.end_lineno or 0, self._lines(node))
        )

    def _method_edit(self, there: ast.stmt, node: ast.stmt) -> _Edit:
        """Return the edit that puts a method, which was given alone, into its class."""
        margin = " " * there.col_offset
        lines = [margin + line if line.strip() else line for line in self._lines(node)]
        return _Edit(first_line(there) - 1, there.end_lineno or 0, lines)

    def _lines(self, node: ast.stmt) -> list[str]:
        return self.new[first_line(node) - 1 : node.end_lineno]

    def text(self, before: ast.Module, after: ast.Module) -> str:
        """Return the old text with all edits, and with the imports that it lacks."""
        lines = list(self.old)
        for edit in sorted(self.edits, key=lambda edit: (-edit.first, -edit.last)):
            lines[edit.first : edit.last] = edit.lines
        known = {ast.unparse(node) for node in before.body if isinstance(node, _Import)}
        added = [
            line
            for node in after.body
            if isinstance(node, _Import) and ast.unparse(node) not in known
            for line in self._lines(node)
        ]
        head = _head(before)
        return "\n".join([*lines[:head], *added, *lines[head:]])


def _method(before: Sequence[ast.stmt], node: ast.stmt) -> ast.stmt | None:
    """Return the only method that has the name of a function with `self` or `cls`."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    if [argument.arg for argument in node.args.args[:1]] not in (["self"], ["cls"]):
        return None
    found = [
        inner
        for one in before
        if isinstance(one, ast.ClassDef)
        for inner in one.body
        if _own_name(inner) == node.name
    ]
    return found[0] if len(found) == 1 else None


def _head(tree: ast.Module) -> int:
    """Return the number of lines before which no import may be put."""
    last = 0
    for node in tree.body:
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not future and not _is_text(node):
            break
        last = node.end_lineno or 0
    return last


def new_imports(head: str, known: str) -> str:
    """Return imports from the head of a file that a text lacks.

    Args:
        head: Python code above the editable region
        known: text that may already have the imports

    Returns:
        The missing import statements, without `__future__`.
    """
    tree = parse_python(head)
    nodes = tree.body if tree is not None else []
    lines = head.split("\n")
    found = [
        "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in nodes
        if isinstance(node, _Import)
    ]
    added = [
        text
        for text in dict.fromkeys(found)
        if f"{text}\n" not in known and "__future__" not in text
    ]
    return "".join(f"{text}\n" for text in added)


def _by_name(body: Sequence[ast.stmt]) -> dict[str, ast.stmt | None]:
    """Return the statement that defines each name; None if there are several."""
    found: dict[str, ast.stmt | None] = {}
    for node in body:
        own = _own_name(node)
        for name in _names(node):
            found[name] = node if name == own and name not in found else None
    return found


def _own_name(node: ast.stmt) -> str | None:
    """Return the one name that a statement defines; None if there is not one."""
    if isinstance(node, _Definition):
        return node.name
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return None
    return target.id if isinstance(target, ast.Name) else None


def _is_text(node: ast.stmt) -> bool:
    """Return whether a statement is only a constant, such as a docstring or `...`."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_example(node: ast.stmt) -> bool:
    """Return whether a statement only shows how to use the program, if it is called so."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
        left = node.test.left
        return isinstance(left, ast.Name) and left.id == "__name__"
    called = node.value if isinstance(node, ast.Expr) else None
    function = called.func if isinstance(called, ast.Call) else None
    return isinstance(function, ast.Name) and function.id == "print"


def first_line(node: ast.stmt) -> int:
    """Return the line of a statement, or of its first decorator, counted from 1.

    Args:
        node: of a syntax tree
    """
    marks = node.decorator_list if isinstance(node, _Definition) else []
    return min([node.lineno, *(decorator.lineno for decorator in marks)])


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, _Definition):
        return {node.name}
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return {
            inner.id
            for inner in ast.walk(node)
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
        }
    return set()


def _imported(tree: ast.Module) -> set[str]:
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in tree.body
        if isinstance(node, _Import)
        for alias in node.names
    }


def imported_names(text: str) -> set[str]:
    """Return the names that a text imports.

    Args:
        text: any text

    Returns:
        The names that it binds; empty if the text is not Python.
    """
    tree = parse_python(text)
    return set() if tree is None else _imported(tree)


def used_names(text: str) -> set[str]:
    """Return the names that a text reads.

    Args:
        text: any text

    Returns:
        Variables, also local ones; empty if the text is not Python.
    """
    return _used(parse_python(text))


def _used(tree: ast.Module | None) -> set[str]:
    nodes = ast.walk(tree) if tree is not None else ()
    return {
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
