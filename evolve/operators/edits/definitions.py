"""Part of a Python program in place of the whole: its definitions take the place of their namesakes."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from functools import lru_cache

from evolve.operators.base import Rejected

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@lru_cache(16)  # several steps of one edit look at the same texts
def parse_python(text: str) -> ast.Module | None:
    """The syntax tree, to be read only; None where it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def defined_names(text: str) -> set[str]:
    """Functions, classes and variables at the top level of a Python text."""
    tree = parse_python(text)
    return (
        set() if tree is None else {name for node in tree.body for name in _names(node)}
    )


def merge_definitions(old: str, new: str, around: str = "") -> str:
    """`new`, unless it lacks names that are still used: then its definitions are put into `old`.

    Raises `Rejected` where such a part has more in it than definitions that stand in `old`.
    """
    before, after = parse_python(old), parse_python(new)
    if before is None or after is None:
        return new
    dropped = defined_names(old) - defined_names(new) - _imported(after)
    missing = sorted(dropped & (_used(after) | _used(parse_python(around))))
    if not dropped or not (missing or not defined_names(new) & defined_names(old)):
        return new
    stands = {node.name: node for node in before.body if isinstance(node, _Definition)}
    body = [
        node
        for node in after.body
        if not isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    if not body or any(
        not isinstance(node, _Definition) or node.name not in stands for node in body
    ):
        what = f"it no longer defines {', '.join(missing or sorted(dropped))}"
        raise Rejected(
            "unparsable",
            f"the code block is only a part of the program ({what}); "
            "give the whole text",
        )
    imports = [
        node for node in after.body if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    return _put_into(old, stands, new, body, imports)


def new_imports(head: str, known: str) -> str:
    """The imports of a file's head that do not stand in a text."""
    tree = parse_python(head)
    nodes = tree.body if tree is not None else []
    lines = head.split("\n")
    found = [
        "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    added = [
        text
        for text in dict.fromkeys(found)
        if f"{text}\n" not in known and "__future__" not in text
    ]
    return "".join(f"{text}\n" for text in added)


def _put_into(
    old: str,
    stands: dict[str, _Definition],
    new: str,
    body: list[ast.stmt],
    imports: Sequence[ast.stmt],
) -> str:
    lines, given = old.split("\n"), new.split("\n")
    replaced = sorted(
        ((stands[node.name], node) for node in body if isinstance(node, _Definition)),
        key=lambda pair: -pair[0].lineno,
    )
    for there, node in replaced:
        lines[_first(there) - 1 : there.end_lineno] = given[
            _first(node) - 1 : node.end_lineno
        ]
    known = {line.strip() for line in lines}
    added = [
        given[node.lineno - 1]
        for node in imports
        if given[node.lineno - 1].strip() not in known
    ]
    return "\n".join([*added, *lines])


def _first(node: _Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


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
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def _used(tree: ast.Module | None) -> set[str]:
    nodes = ast.walk(tree) if tree is not None else ()
    return {
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
