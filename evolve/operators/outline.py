"""A part of a file for prompts: what may change, and what that uses from the rest.

Of a Python file: the editable blocks and asked functions whole; of what they use, imports
and constants whole, functions and classes with signature and the head of the docstring.
"""

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from evolve.operators.edits.definitions import first_line, parse_python
from evolve.tasks import Region, editable_region

CONTEXT_LINES = 15  # around a block of a file that is not Python, and at its start
_LONG = 20  # lines of a constant that are shown
_HEAD_CHARS = 300  # of the first paragraph of a docstring
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef


@dataclass
class _Shown:
    """Lines of a file that are shown, and lines that take the place of others.

    Attributes:
        lines: numbers from 0
        instead: number of a line -> lines that are shown after it
    """

    lines: set[int] = field(default_factory=set)
    instead: dict[int, list[str]] = field(default_factory=dict)

    def add(self, first: int, last: int) -> None:
        """Show the lines from `first` up to `last`, counted from 1, both included."""
        self.lines.update(range(first - 1, last))


class Outline:
    """One file, of which a part is shown.

    Args:
        text: its content
        blocks: ranges of lines that are shown whole, counted from 0, the last excluded;
            by default the editable blocks with their markers
        comment: how a comment begins
    """

    def __init__(
        self,
        text: str,
        blocks: Sequence[tuple[int, int]] | None = None,
        comment: str = "#",
    ) -> None:
        self._region = editable_region(text)
        self._lines = [line.rstrip("\r\n") for line in self._region.lines]
        self._blocks = blocks if blocks is not None else _with_markers(self._region)
        self._comment = comment
        self._tree = parse_python(text) if comment == "#" else None

    @cached_property
    def callees(self) -> tuple[str, ...]:
        """Functions and classes outside the blocks that these use, in order of use."""
        return tuple(
            name for name in self.used if isinstance(self._fixed.get(name), _Definition)
        )

    def text(
        self,
        whole: Collection[str] = (),
        wanted: Collection[str] = (),
        *,
        callers: bool = False,
    ) -> str:
        """Return the part of the file.

        Args:
            whole: functions and classes that are shown with their bodies
            wanted: further names that are shown, as if a block used them
            callers: also show the signatures of what uses a name of the blocks

        Returns:
            Lines of the file; a comment replaces each run of lines that is left out.
        """
        shown = _Shown()
        for first, last in self._blocks:
            shown.add(first + 1, last)
        if self._tree is None:
            self._add_surroundings(shown)
        else:
            done = self._add_used(shown, [*wanted, *self.used], whole)
            self._add_around(self._tree, shown, done, callers)
        return "\n".join(self._written(shown)) + "\n"

    @cached_property
    def used(self) -> tuple[str, ...]:
        """Names that the blocks use, in order of use."""
        found = [
            (node.lineno, node.col_offset, node.id)
            for node in ast.walk(self._tree or ast.Module([], []))
            if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and self._is_inside(node)
        ]
        return tuple(dict.fromkeys(name for _, _, name in sorted(found)))

    def _is_inside(self, node: ast.stmt | ast.expr) -> bool:
        return any(first < node.lineno <= last for first, last in self._blocks)

    @cached_property
    def _fixed(self) -> dict[str, ast.stmt]:
        """Statements of the module outside the blocks, by the names that they bind."""
        body = self._tree.body if self._tree is not None else []
        return {
            name: node
            for node in body
            if not self._is_inside(node)
            for name in _bound(node)
        }

    def _add_used(
        self, shown: _Shown, wanted: list[str], whole: Collection[str]
    ) -> set[ast.stmt]:
        """Show what binds the wanted names, and what the shown lines use."""
        done: set[ast.stmt] = set()
        while wanted:
            name = wanted.pop()
            node = self._fixed.get(name)
            if node is not None and node not in done:
                done.add(node)
                wanted += self._add(node, shown, name in whole)
        return done

    def _add_around(
        self, tree: ast.Module, shown: _Shown, done: set[ast.stmt], callers: bool
    ) -> None:
        """Show the heads of classes that hold a block, and of what calls a block."""
        inside = self._defined_inside(tree)
        for node in tree.body:
            if node in done or not isinstance(node, _Definition):
                continue
            if self._holds_block(node):
                self._add_class(node, shown)
            elif callers and not self._is_inside(node) and inside & set(_names(node)):
                self._add(node, shown, whole=False)

    def _defined_inside(self, tree: ast.Module) -> set[str]:
        return {
            name for node in tree.body if self._is_inside(node) for name in _bound(node)
        }

    def _holds_block(self, node: ast.stmt) -> bool:
        last = node.end_lineno or node.lineno
        return not self._is_inside(node) and any(
            node.lineno <= first < last for first, _ in self._blocks
        )

    def _add(self, node: ast.stmt, shown: _Shown, whole: bool) -> list[str]:
        """Show a statement, or its outline; return the names that the shown lines use."""
        first, last = first_line(node), node.end_lineno or node.lineno
        if isinstance(node, _Definition) and not whole:
            if isinstance(node, ast.ClassDef):
                self._add_class(node, shown)
            else:
                self._add_head(node, shown)
            return _names_of_head(node)
        if not whole and last - first >= _LONG:
            shown.add(first, first + _LONG // 2)
            return []
        shown.add(first, last)
        return _names(node)

    def _add_head(self, node: _Definition, shown: _Shown) -> None:
        """Show signature and head of the docstring of a function or class."""
        body = node.body[0]
        if self._lines[body.lineno - 1][: body.col_offset].strip():
            shown.add(first_line(node), node.end_lineno or node.lineno)
            return  # it ends on the line of its signature
        end = self._last_code_line(first_line(body) - 1)
        shown.add(first_line(node), end)
        margin = " " * body.col_offset
        dots = [] if isinstance(node, ast.ClassDef) else [f"{margin}..."]
        shown.instead[end - 1] = [*_head_of_docstring(node, margin), *dots]

    def _last_code_line(self, number: int) -> int:
        """Return the last line up to `number` that is not empty or a comment."""
        while self._lines[number - 1].strip()[:1] in ("", "#"):
            number -= 1
        return number

    def _add_class(self, node: _Definition, shown: _Shown) -> None:
        """Show the head of a class, and the signatures of its methods."""
        self._add_head(node, shown)
        for inner in node.body:
            if self._is_inside(inner):
                continue
            if isinstance(inner, _Function):
                body = inner.body[0]
                end = max(self._last_code_line(first_line(body) - 1), inner.lineno)
                shown.add(first_line(inner), end)
                if body.lineno > end:
                    shown.instead[end - 1] = [" " * body.col_offset + "..."]
            elif isinstance(inner, (ast.Assign, ast.AnnAssign)):
                shown.add(inner.lineno, min(inner.end_lineno or 0, inner.lineno + 3))

    def _add_surroundings(self, shown: _Shown) -> None:
        shown.add(1, min(CONTEXT_LINES, len(self._lines)))
        for first, last in self._blocks:
            shown.add(
                max(first - CONTEXT_LINES, 0) + 1,
                min(last + CONTEXT_LINES, len(self._lines)),
            )

    def _written(self, shown: _Shown) -> Iterator[str]:
        left = 0  # lines that are not shown, so far
        for number, line in enumerate(self._lines):
            if number in shown.lines:
                yield from self._gap(left, line)
                left = 0
                yield line
            else:
                left += 1
            if number in shown.instead:
                yield from shown.instead[number]
        yield from self._gap(left, "")

    def _gap(self, left: int, line: str) -> Iterator[str]:
        """Yield what stands for lines that are left out before a line."""
        if left > 2:
            margin = line[: len(line) - len(line.lstrip())]
            yield f"{margin}{self._comment} [{left} lines are not shown]"
        elif left:
            yield ""


def _with_markers(region: Region) -> list[tuple[int, int]]:
    """Return the editable blocks, with the lines of their markers."""
    size = len(region.lines)
    return [
        (max(0, first - 1), min(size, last + 1))
        if (first, last) != (0, size)
        else (0, size)
        for first, last in region.blocks
    ]


def _head_of_docstring(node: _Definition, margin: str) -> list[str]:
    """Return the first paragraph of a docstring as lines with quotes."""
    head = (ast.get_docstring(node) or "").strip().partition("\n\n")[0]
    quoted = f'"""{head[:_HEAD_CHARS]}"""'
    return [margin + line for line in quoted.split("\n")] if head else []


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module binds."""
    if isinstance(node, _Definition):
        return {node.name}
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Import, ast.ImportFrom)):
            names = [(alias.asname or alias.name) for alias in inner.names]
            found |= {name.partition(".")[0] for name in names}
        elif isinstance(inner, _Definition):
            found.add(inner.name)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            found.add(inner.id)
    return found


def _names(node: ast.AST) -> list[str]:
    return [
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
    ]


def _names_of_head(node: _Definition) -> list[str]:
    """Return the names that signature and decorators use."""
    parts: list[ast.AST] = list(node.decorator_list)
    if isinstance(node, ast.ClassDef):
        parts += node.bases
    else:
        parts += [node.args, *([node.returns] if node.returns else [])]
    return [name for part in parts for name in _names(part)]
