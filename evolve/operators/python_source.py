"""A Python file as text with a syntax tree: nodes in the editable region, and edits by position."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from evolve.tasks import editable_region


@dataclass(frozen=True)
class Edit:
    """Replace the bytes from `start` to `end` by a text."""

    start: int
    end: int
    text: str
    note: str


class Source:
    """One file. Raises `SyntaxError` when it is no Python."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode()
        self.tree = ast.parse(text)
        self.region = editable_region(text)
        self._starts = [0]
        for line in self.data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    @cached_property
    def nodes(self) -> list[ast.expr | ast.stmt]:
        """Expressions and statements that lie in the editable region whole, docstrings left out."""
        out = {id(body[0]) for body in self._bodies() if _is_docstring(body[0])}
        for node in ast.walk(self.tree):
            # positions in f-strings are wrong before 3.12
            if isinstance(node, ast.JoinedStr):
                out |= {id(inner) for inner in ast.walk(node)}
        return [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, (ast.expr, ast.stmt))
            and id(node) not in out
            and self.region.contains(node.lineno - 1, node.end_lineno or node.lineno)
        ]

    def _bodies(self) -> Iterator[list[ast.stmt]]:
        for node in ast.walk(self.tree):
            for name in ("body", "orelse", "finalbody"):
                body = getattr(node, name, None)
                if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                    yield body

    @cached_property
    def bodies(self) -> list[list[ast.stmt]]:
        """Blocks of statements in the region, docstrings left out."""
        kept = set(map(id, self.nodes))
        inner = ([s for s in body if id(s) in kept] for body in self._bodies())
        return [body for body in inner if body]

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Functions in the region, by name."""
        return {
            node.name: node for node in self.nodes if isinstance(node, ast.FunctionDef)
        }

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Byte offsets of a node."""
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def code(self, node: ast.AST) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def line_span(self, node: ast.stmt) -> tuple[int, int]:
        """Byte offsets of the whole lines of a statement, decorators included."""
        first = min(
            [node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]
        )
        return self._starts[first - 1], self._starts[node.end_lineno or node.lineno]

    def lines(self, node: ast.stmt) -> str:
        """The whole lines of a statement, ending in a line end."""
        start, end = self.line_span(node)
        text = self.data[start:end].decode()
        return text if text.endswith("\n") else text + "\n"

    def alone(self, node: ast.stmt) -> bool:
        """True when no other code shares its lines."""
        start, end = self.line_span(node)
        around = (
            self.data[start : self.span(node)[0]] + self.data[self.span(node)[1] : end]
        )
        return around.split(b"#")[0].strip() in (b"",) or bool(
            getattr(node, "decorator_list", [])
        )

    def apply(self, edit: Edit) -> str:
        """The text with one edit applied."""
        return (
            self.data[: edit.start] + edit.text.encode() + self.data[edit.end :]
        ).decode()


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def syntax_error(text: str, path: str = "candidate") -> Exception | None:
    """Why Python would not compile a text; None when it would. Its warnings are nobody's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return error
    return None


def indent_of(text: str) -> str:
    """The white space before the first line's code."""
    return text[: len(text) - len(text.lstrip(" \t"))]


def reindent(text: str, indent: str) -> str:
    """Whole lines moved so that the first one has this indent."""
    old = indent_of(text)
    return "".join(
        indent + line.removeprefix(old) if line.strip() else line
        for line in text.splitlines(keepends=True)
    )
