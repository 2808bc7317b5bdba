"""Python code in an answer: each definition takes the place of the one of the same name."""

from __future__ import annotations

import ast

import tools


def python(path: str, code: str) -> str:
    """Put code into the file that it belongs to; says what was done or what is wrong."""
    try:
        new = ast.parse(code).body
        path = path if path.endswith(".py") else place_of(new)
        if not path:
            return (
                "which file is meant? Begin the block with its name.\n" + known_names()
            )
        return tools.write(path, merged(tools.text_of(path), code, new))
    except (SyntaxError, ValueError) as error:
        return f"the code does not parse: {error}"


def place_of(new: list[ast.stmt]) -> str:
    """The file that has the same names, or that is the only one; nothing where there are more."""
    files = [path for path in tools.paths() if path.endswith(".py")]
    names = names_of(new)
    found = [
        path for path in files if names & names_of(body_of(tools.text_of(path)))
    ] or files
    return found[0] if len(found) == 1 else ""


def known_names() -> str:
    """What each file defines."""
    found = {
        path: names_of(body_of(tools.text_of(path)))
        for path in tools.paths()
        if path.endswith(".py")
    }
    return "\n".join(
        f"{path} defines {', '.join(sorted(names))}" for path, names in found.items()
    )


def merged(old: str, code: str, new: list[ast.stmt]) -> str:
    """The old text with the new definitions and imports; what else the new code does is left out."""
    known, lines = body_of(old), old.splitlines(keepends=True)
    if not known:
        return code
    places = {name: span_of(node) for node in known for name in names_of([node])}
    top = next(
        (span_of(node)[0] for node in known if not comes_first(node)), len(lines)
    )
    end = next(
        (span_of(node)[0] for node in known if isinstance(node, ast.If)), len(lines)
    )
    changes = {}
    for node in new:
        text = "\n".join(code.splitlines()[slice(*span_of(node))]) + "\n"
        spot = next((places[name] for name in names_of([node]) if name in places), None)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            changes[top, top] = changes.get((top, top), "") + (
                "" if text in old else text
            )
        elif spot or names_of([node]):
            spot = spot or (end, end)
            changes[spot] = (
                text if spot[0] < spot[1] else changes.get(spot, "") + f"\n\n{text}"
            )
    for (start, stop), text in sorted(changes.items(), reverse=True):
        lines[start:stop] = [text]
    return "".join(lines)


def names_of(body: list[ast.stmt]) -> set[str]:
    """What these statements define."""
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = {node.name for node in body if isinstance(node, named)}
    targets = [
        target
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]
    return names | {target.id for target in targets if isinstance(target, ast.Name)}


def comes_first(node: ast.stmt) -> bool:
    """Whether imports must come after it."""
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return future or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def span_of(node: ast.stmt) -> tuple[int, int]:
    """Its lines, decorators included, as a slice."""
    first = min(
        [node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))]
    )
    return first - 1, node.end_lineno or first


def body_of(text: str) -> list[ast.stmt]:
    """The statements of a file; none where it does not parse."""
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError):
        return []
