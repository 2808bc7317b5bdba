"""A Python file as text with a syntax tree: editable nodes, and edits by position."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from evolve.tasks import editable_region

BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Edit:
    """A replacement of the bytes from `start` to `end` by a text."""

    start: int
    end: int
    text: str
    note: str


class Source:
    """One Python file.

    Args:
        text: its content

    Raises:
        SyntaxError: the text is not Python
        MarkerError: the EVOLVE-BLOCK markers don't pair
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode()
        code = text.removeprefix(BYTE_ORDER_MARK)
        self.tree = ast.parse(code)
        self.region = editable_region(text)
        # Python does not count a byte order mark as part of the first line
        self._starts = [len(self.data) - len(code.encode())]
        for line in code.encode().splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    @cached_property
    def nodes(self) -> list[ast.expr | ast.stmt]:
        """Expressions and statements inside the editable region, without docstrings."""
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
        """Blocks of statements in the region, without docstrings."""
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
        """Return the byte offsets of a node.

        Args:
            node: an expression or statement

        Returns:
            Start and end, `end` excluded.
        """
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def code(self, node: ast.AST) -> str:
        """Return the text of a node.

        Args:
            node: an expression or statement

        Returns:
            The text without leading or trailing white space.
        """
        start, end = self.span(node)
        return self.data[start:end].decode()

    def line_span(self, node: ast.stmt) -> tuple[int, int]:
        """Return the byte offsets of the lines of a statement, with its decorators.

        Args:
            node: a statement

        Returns:
            Start of the first line, end of the last.
        """
        first = min(
            [node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]
        )
        return self._starts[first - 1], self._starts[node.end_lineno or node.lineno]

    def lines(self, node: ast.stmt) -> str:
        """Return the lines of a statement, with its decorators.

        Args:
            node: a statement

        Returns:
            Whole lines, with a final line end.
        """
        start, end = self.line_span(node)
        text = self.data[start:end].decode()
        return text if text.endswith("\n") else text + "\n"

    def alone(self, node: ast.stmt) -> bool:
        """Return whether no other code shares the lines of a statement.

        Args:
            node: a statement

        Returns:
            True also for a statement followed by a comment.
        """
        start, end = self.line_span(node)
        around = (
            self.data[start : self.span(node)[0]] + self.data[self.span(node)[1] : end]
        )
        return around.split(b"#")[0].strip() in (b"",) or bool(
            getattr(node, "decorator_list", [])
        )

    def apply(self, edit: Edit) -> str:
        """Return the text with one edit applied.

        Args:
            edit: byte offsets and the new text

        Returns:
            The text; this object is unchanged.
        """
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
    """Compile a text without running it.

    Args:
        text: Python code
        path: name in the error message

    Returns:
        The error, or None if it compiles. Python's warnings are ignored.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = text.removeprefix(BYTE_ORDER_MARK)
            compile(code, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return error
    return None


def indent_of(text: str) -> str:
    """Return the white space before the code of the first line.

    Args:
        text: one or more lines

    Returns:
        Blanks and tabs.
    """
    return text[: len(text) - len(text.lstrip(" \t"))]


def reindent(text: str, indent: str) -> str:
    """Move whole lines so that the first one has a given indentation.

    Args:
        text: whole lines
        indent: white space for the first line

    Returns:
        The lines with their relative indentation.
    """
    old = indent_of(text)
    return "".join(
        indent + line.removeprefix(old) if line.strip() else line
        for line in text.splitlines(keepends=True)
    )
