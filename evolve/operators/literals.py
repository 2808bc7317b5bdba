"""Numbers of a program as parameters of its skeleton, the tree with its numbers blanked."""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evolve.archive import Files
from evolve.operators.mutations import is_number
from evolve.operators.python_source import Source

MOST_BYTES = 20 * 1024  # of the editable files: they are parsed by the engine itself
_BLANK = ast.Constant(0)


@dataclass(frozen=True)
class Literal:
    """A number of a program.

    Attributes:
        path: its file
        start: offset of its first byte, with a minus sign
        end: offset after its last byte
        value: with its sign
        key: names it in every program that has its statement, whatever the numbers are
    """

    path: str
    start: int
    end: int
    value: float
    key: str


@dataclass(frozen=True)
class Skeleton:
    """The tunable numbers of a program.

    Attributes:
        name: equal for programs that differ only in their numbers
        literals: in order of files and positions
    """

    name: str
    literals: tuple[Literal, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers."""
        return tuple(literal.value for literal in self.literals)


def skeleton_of(files: Files) -> Skeleton:
    """Return the numbers of the editable region of Python files.

    Args:
        files: editable files, path -> content; not trusted

    Returns:
        The skeleton; without literals if a file can't be read, or if all are too long.
    """
    python = {path: files[path] for path in sorted(files) if path.endswith(".py")}
    digest, found = hashlib.blake2b(digest_size=16), list[Literal]()
    if sum(map(len, python.values())) <= MOST_BYTES:
        try:
            for path, content in python.items():
                source = Source(content.decode())
                found += _literals(path, source, digest)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found.clear()
    return Skeleton(digest.hexdigest(), tuple(found))


def _literals(path: str, source: Source, digest: "hashlib.blake2b") -> list[Literal]:
    """Return the numbers of a file, and add its skeleton to a digest."""
    inside = {id(node) for node in source.nodes}
    blanker = _Blanker(inside)
    found: list[Literal] = []
    times: Counter[str] = Counter()
    parts: list[str] = []
    for depth, statement in _statements(source.tree):
        blanker.taken = []
        text = f"{type(statement).__name__} " + " ".join(
            ast.dump(blanker.visit(part)) for part in _own_parts(statement)
        )
        name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        times[name] += 1
        parts.append(f"{depth} {text}")
        for place, (node, value) in enumerate(blanker.taken):
            key = f"{path} {name} {times[name]} {place}"
            found.append(Literal(path, *source.span(node), value, key))
    digest.update("\n".join([path, *parts]).encode(errors="surrogatepass"))
    return sorted(found, key=lambda literal: literal.start)


def _statements(node: ast.AST, depth: int = 0) -> Iterator[tuple[int, ast.stmt]]:
    """Yield all statements below a node with their depth, in the order of the text."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield depth, child
        yield from _statements(child, depth + 1)


def _own_parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the parts of a statement that are not statements of its blocks."""
    for part in ast.iter_child_nodes(statement):
        if not isinstance(part, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield part


class _Blanker(ast.NodeTransformer):
    """Replaces numbers of the editable region, and collects them with their values."""

    def __init__(self, inside: set[int]) -> None:
        self._inside = inside
        self.taken: list[tuple[ast.expr, float]] = []

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Take a number."""
        if not is_number(node) or id(node) not in self._inside:
            return node
        assert isinstance(node.value, (int, float))
        self.taken.append((node, node.value))
        return _BLANK

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """Take a number with its minus sign."""
        inner = node.operand
        if not isinstance(node.op, ast.USub) or not is_number(inner):
            return self.generic_visit(node)
        if id(inner) not in self._inside:
            return node
        assert isinstance(inner, ast.Constant)
        assert isinstance(inner.value, (int, float))
        self.taken.append((node, -inner.value))
        return _BLANK


def render(
    files: Files, literals: Sequence[Literal], values: Mapping[int, float]
) -> dict[str, bytes]:
    """Return files with other numbers.

    Args:
        files: path -> content
        literals: the numbers of these files
        values: position in `literals` -> new number

    Returns:
        The changed files.

    Raises:
        IndexError: there is no such literal
    """
    changed: dict[str, bytes] = {}
    for place in sorted(values, key=lambda k: -literals[k].start):
        literal = literals[place]
        data = changed.get(literal.path, files[literal.path])
        head, tail = data[: literal.start], data[literal.end :]
        new = _written(values[place], literal.value < 0, head[-1:])
        changed[literal.path] = head + new + tail
    return changed


def _written(value: float, had_sign: bool, before: bytes) -> bytes:
    """Write a number in place of another, so that it stays one operand."""
    text = repr(value).encode()
    if value < 0:
        return text if had_sign else b"(" + text + b")"
    return b" " + text if had_sign and before.isalnum() else text
