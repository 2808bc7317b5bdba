"""Print the figures of the code's structure and language.

    python -m tests.house [FOLDER]

Rooms, floors, arrows and circles come from the imports. A room is a folder directly below `evolve`,
a file at its root, `archive` or `sandbox`; a floor is the longest chain of imports below a room. Tokens
are those of Python's `tokenize` without comments, docstrings, newlines and indents.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("evolve", "archive", "sandbox")
# Every pattern of the glossary's table and of its "Avoid" line, one alternative each.
IDIOMS = re.compile(
    r"""\b(?:
    (?:is|are|was|were)\s+no\s+(?!longer|more|less)\w+ | mend(?:s|ed|ing)? |
    so\s+(?:many|long|much)\b(?!\s+as) | the\s+last\s+so\b |
    who | whom | whoever | whose | nobody | somebody |
    told | tell | tells | said | say | says |
    stands? | stood | lies | lie | lay | beside | behind | anew |
    what\s+(?:is|was|are|were|has|had|have|it|its|they|we|he|this|that|these|a|an|the|one|each|every|
              can|may|must|might|could|would|does|did|do|comes?|came|goes|went|went|stays|stayed|
              happens|happened|of|else|was|becomes|became|makes|made|takes|took|keeps|kept|runs|ran) |
    one's\s+own | (?:of|for)\s+(?:its|their|his|one's|our)\s+own | of\s+ours | ours |
    where\s+every\s+one | (?:all|every)\s+one\s+is | nothing\s+counts | has\s+ended |
    (?:came|comes|come)\s+to\s+nothing | dear | dearer | dearest | but\s+those\s+of | but\s+for |
    the\s+rights\s+of | under\s+way | on\s+(?:its|their)\s+way | for\s+good | at\s+hand |
    as\s+it\s+is | has\s+made | one\s+for\s+each
)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_LINKED = ("archive", "sandbox", "shipped")  # folders beside `evolve`
_WORD = re.compile(r"[A-Za-z']+")
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """One module: its dotted name, text and syntax tree."""

    name: str
    text: str
    tree: ast.Module


def sources(root: Path) -> list[Source]:
    """Read all modules of the packages, without the code that is copied into a sandbox as data."""
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            inner = path.relative_to(root)
            if inner.parts[0] == "evolve" and inner.parts[1] in _LINKED:
                continue
            name = ".".join(inner.with_suffix("").parts).removesuffix(".__init__")
            text = path.read_text()
            found.append(Source(name, text, ast.parse(text)))
    return found


def room_of(module: str) -> str:
    """Return the room of a dotted module name."""
    parts = module.split(".")
    if parts[0] == "evolve" and parts[1:2] in (["archive"], ["sandbox"]):
        return parts[1]
    return ".".join(parts[:2]) if parts[0] == "evolve" else parts[0]


def arrows(modules: list[Source]) -> dict[str, set[str]]:
    """Map each room to the rooms that it imports, itself left out."""
    names = {module.name for module in modules}
    found: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        room = room_of(module.name)
        found[room] |= {room_of(name) for name in _imports(module.tree, names)} - {
            room,
            "evolve",
        }
    return found


def _imports(tree: ast.Module, names: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                alias.name
                for alias in node.names
                if alias.name.split(".")[0] in PACKAGES
            )
        elif (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").split(".")[0] in PACKAGES
        ):
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                inside = (
                    room_of(whole) in {room_of(name) for name in names}
                    or whole in names
                )
                yield (
                    whole
                    if (inside and node.module == "evolve") or whole in names
                    else node.module
                )


def floors_and_circles(graph: dict[str, set[str]]) -> tuple[int, int]:
    """Return the longest chain of rooms, and how many pairs of rooms import each other."""
    reached = {room: _reach(graph, room) for room in graph}
    circles = sum(
        1
        for room in graph
        for other in reached[room]
        if room < other and room in reached.get(other, ())
    )

    @cache
    def floor(room: str) -> int:
        below = [
            other for other in graph.get(room, ()) if room not in reached.get(other, ())
        ]
        return 1 + max(map(floor, below), default=0)

    return max(map(floor, graph), default=0), circles


def _reach(graph: dict[str, set[str]], room: str) -> set[str]:
    seen: set[str] = set()
    waiting = [room]
    while waiting:
        for other in graph.get(waiting.pop(), ()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def tokens(module: Source) -> tuple[int, int]:
    """Return the number of tokens and of lines that hold one."""
    documented = {
        node.body[0].lineno
        for node in ast.walk(module.tree)
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None
    }
    count, lines = 0, set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type in _LAYOUT:
            continue
        if token.type == tokenize.STRING and token.start[0] in documented:
            continue
        count += 1
        lines.add(token.start[0])
    return count, len(lines)


def prose(module: Source) -> Iterator[str]:
    """Yield docstrings, comments and messages: text constants of at least three words."""
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(
            ("#!", "# noqa", "# type")
        ):
            yield token.string
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _is_prose(node.value)
        ):
            yield node.value


def _is_prose(text: str) -> bool:
    return len(_WORD.findall(text)) >= 3 and " " in text.strip()


def idioms(modules: list[Source]) -> tuple[int, int]:
    """Return the number of idioms and of words."""
    texts = [text for module in modules for text in prose(module)]
    return (
        sum(len(IDIOMS.findall(text)) for text in texts),
        sum(len(_WORD.findall(text)) for text in texts),
    )


def documented(modules: list[Source]) -> tuple[int, int]:
    """Return how many public definitions have sections in their docstring, of how many.

    A property, and a function without arguments that returns nothing, needs no section.
    """
    full = total = 0
    for module in modules:
        for node in _public(module.tree):
            if not _needs_sections(node):
                continue
            total += 1
            text = ast.get_docstring(node) or ""
            full += bool(
                re.search(
                    r"^(Args|Returns|Raises|Yields|Attributes):", text, re.MULTILINE
                )
            )
    return full, total


def _public(
    tree: ast.AST,
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in getattr(tree, "body", ()):
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def _needs_sections(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> bool:
    if isinstance(node, ast.ClassDef):
        return any(
            isinstance(inner, ast.FunctionDef)
            and inner.name == "__init__"
            and len(inner.args.args) > 1
            for inner in node.body
        )
    if any(
        isinstance(found, ast.Name) and found.id in ("property", "overload")
        for found in node.decorator_list
    ):
        return False
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    takes = [found for found in given if found.arg not in ("self", "cls")]
    gives = node.returns is not None and ast.unparse(node.returns) not in (
        "None",
        "NoReturn",
    )
    return bool(takes) or gives


def arguments(modules: list[Source], name: str) -> int | None:
    """Return how many arguments a class's constructor (or a function) takes."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                made = [
                    inner
                    for inner in node.body
                    if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"
                ]
                return _count(made[0]) - 1 if made else None
            if (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                and node.name == name
            ):
                return _count(node)
    return None


def _count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)


@dataclass(frozen=True)
class Figures:
    """The figures of a checkout. Rates of prose are per 1,000 words."""

    rooms: int
    floors: int
    arrows: int
    circles: int
    at_root: int
    arguments: dict[str, int | None]
    tokens: int
    tokens_a_line: float
    idioms: float
    documented: float


def figures_of(root: Path) -> Figures:
    """Measure a checkout."""
    modules = sources(root)
    graph = arrows(modules)
    floors, circles = floors_and_circles(graph)
    counted = [tokens(module) for module in modules]
    total, lines = (sum(column) for column in zip(*counted, strict=True))
    found, words = idioms(modules)
    full, public = documented(modules)
    return Figures(
        len(graph),
        floors,
        sum(map(len, graph.values())),
        circles,
        sum(1 for _ in (root / "evolve").glob("*.py")),
        {
            name: arguments(modules, name)
            for name in ("Engine", "Proposer", "start_run")
        },
        total,
        total / lines,
        1000 * found / words,
        full / public,
    )


def main() -> None:
    """Print the figures."""
    found = figures_of(Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parents[1]))
    figures = {
        "rooms": found.rooms,
        "floors": found.floors,
        "arrows": found.arrows,
        "circles": found.circles,
        "files at the root of evolve": found.at_root,
        **{f"arguments of {name}": count for name, count in found.arguments.items()},
        "tokens": f"{found.tokens:,}",
        "tokens a line": f"{found.tokens_a_line:.2f}",
        "idioms per 1,000 words": f"{found.idioms:.1f}",
        "docstrings with sections": f"{found.documented:.0%}",
    }
    for name, value in figures.items():
        sys.stdout.write(f"{name:28} {value}\n")


if __name__ == "__main__":
    main()
