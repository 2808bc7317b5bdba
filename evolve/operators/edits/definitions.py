"""Partial Python programs: their definitions replace those of the same name."""

import ast
import warnings
from collections.abc import Sequence
from functools import lru_cache

from evolve.operators.base import Rejected

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


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


def merge_definitions(old: str, new: str, around: str = "") -> str:
    """Return the new text, or the old one with the new definitions merged into it.

    They are merged if `new` lacks names that are still used, or has none in common with
    `old`.

    Args:
        old: the text to be replaced
        new: the text from the reply
        around: fixed text around `old`, searched for uses of its names

    Returns:
        The text to put in place of `old`.

    Raises:
        Rejected: `new` is a part, but has more than definitions that `old` also has
    """
    before, after = parse_python(old), parse_python(new)
    if before is None or after is None:
        return new
    dropped = defined_names(old) - defined_names(new) - _imported(after)
    if not dropped:
        return new
    missing = sorted(dropped & (_used(after) | _used(parse_python(around))))
    if not missing and defined_names(new) & defined_names(old):
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
