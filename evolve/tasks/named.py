"""Editable regions that are named by function or class: `module.py:Class.method`.

The region of such a file is put between EVOLVE-BLOCK markers when a task is loaded, so that
everything else knows one kind of region. The added lines never leave a run: what shows or
writes files takes them out again by `unmarked`.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evolve.errors import TaskError, did_you_mean
from evolve.tasks.editable import is_pattern
from evolve.tasks.region import END, START, editable_region

_ADDED = " (added by the run)"
_FIRST, _LAST = (f"# {marker}{_ADDED}".encode() for marker in (START, END))
MOST = 20  # names in a message
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def file_of(entry: str) -> str:
    """Return the file of an entry of `editable`.

    Args:
        entry: a file, a pattern, or `FILE:NAME`

    Returns:
        The part before the colon.
    """
    return entry.partition(":")[0]


def names_of(entries: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the entries that have one.

    Args:
        entries: the entries of `editable`

    Returns:
        File -> names in it, in order.

    Raises:
        TaskError: a file is listed with and without a name, or is no Python file
    """
    listed = tuple(entries)
    found: dict[str, list[str]] = {}
    for entry in listed:
        path, colon, name = entry.partition(":")
        if not colon:
            continue
        if not path.endswith(".py") or is_pattern(path):
            raise TaskError(
                f"editable: invalid {entry!r}: only one Python file can have names",
                "write the file alone, with EVOLVE-BLOCK markers in it",
            )
        if path in listed:
            raise TaskError(
                f"editable: {path!r} is listed with and without a name",
                f"keep {path!r} or {entry!r}",
            )
        found.setdefault(path, []).append(name)
    return found


def marked(path: str, source: bytes, names: Sequence[str]) -> bytes:
    """Put EVOLVE-BLOCK markers around named definitions, decorators included.

    Args:
        path: the file, for messages
        source: its content, without markers
        names: functions and classes, nested ones with dots

    Returns:
        The content with markers; `unmarked` gives back `source`.

    Raises:
        TaskError: an unknown name, markers that are there already, or no valid Python
    """
    spans = _outermost(_spans(path, source, names))
    lines = source.split(b"\n")
    line_end = b"\r" if lines[0].endswith(b"\r") else b""
    for first, last in reversed(spans):
        start = lines[first]
        indent = start[: len(start) - len(start.lstrip(b" \t"))]
        # a last line without an end gets one: `unmarked` takes it away again
        if last == len(lines):
            lines[-1] += line_end
            lines.append(indent + _LAST)
        else:
            lines.insert(last, indent + _LAST + line_end)
        lines.insert(first, indent + _FIRST + line_end)
    return b"\n".join(lines)


def unmarked(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Take out the lines that `marked` added.

    Args:
        files: path -> content

    Returns:
        The files as the user's repository has them.
    """
    return {path: _without_markers(content) for path, content in files.items()}


def marked_like(
    seed: Mapping[str, bytes], files: Mapping[str, bytes], entries: Iterable[str]
) -> dict[str, bytes]:
    """Mark files that came from outside of a run, as the seed is marked.

    What is new beside a named definition belongs to its region, if all the rest is
    as in the seed.

    Args:
        seed: the files as loaded, with markers
        files: path -> content, without markers
        entries: the entries of `editable`

    Returns:
        The files with markers.

    Raises:
        TaskError: a file has no definition of a name, or is no valid Python
    """
    found = dict(files)
    for path, names in names_of(entries).items():
        if path in found:
            plain = _without_markers(found[path])
            like = _by_fixed_parts(seed[path], plain)
            found[path] = marked(path, plain, names) if like is None else like
    return found


def _by_fixed_parts(seed: bytes, plain: bytes) -> bytes | None:
    """Return the text with the seed's markers; None if it is not clear where they go."""
    first, *others = (part.encode() for part in editable_region(seed.decode()).fixed)
    head, *bare = map(_without_markers, (first, *others))
    if len(others) != 1 or not (plain.startswith(head) and plain.endswith(bare[0])):
        return None
    block = plain[len(head) : len(plain) - len(bare[0])]
    if not block.endswith(b"\n"):
        block += b"\n"
    return first + block + others[0]


def _without_markers(content: bytes) -> bytes:
    if _FIRST not in content and _LAST not in content:
        return content
    lines = content.split(b"\n")
    kept = [line for line in lines if line.strip() not in (_FIRST, _LAST)]
    # the end of the line before a last marker was added with it
    if lines[-1].strip() == _LAST and kept:
        kept[-1] = kept[-1].removesuffix(b"\r")
    return b"\n".join(kept)


def _spans(path: str, source: bytes, names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the lines of each definition, counted from 0, the last excluded."""
    if START.encode() in source or END.encode() in source:
        raise TaskError(
            f"editable: {path} has EVOLVE-BLOCK markers and a name in task.toml",
            "keep the markers or the name",
        )
    if b"\r" in source.replace(b"\r\n", b""):
        raise TaskError(
            f"editable: {path} has a carriage return without a line feed",
            "save it with usual line ends",
        )
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise TaskError(
            f"editable: {path} is not valid Python: {error}", "correct it"
        ) from None
    known: dict[str, list[_Definition]] = {}
    for name, node in _definitions(tree, ""):
        known.setdefault(name, []).append(node)
    for name in names:
        if name not in known:
            raise TaskError(
                f"editable: {path} defines no {name!r}",
                f"{did_you_mean(name, known)}; it defines {_listed(known)}",
            )
        for node in known[name]:
            lines = [node.lineno, *(part.lineno for part in node.decorator_list)]
            yield min(lines) - 1, node.end_lineno or node.lineno


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return (", ".join(found[:MOST]) or "nothing") + more


def _definitions(node: ast.AST, around: str) -> Iterator[tuple[str, _Definition]]:
    """Yield functions and classes with their dotted names, outer ones first."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, _Definition):
            yield around + inner.name, inner
            yield from _definitions(inner, f"{around}{inner.name}.")
        elif not isinstance(inner, ast.expr):
            yield from _definitions(inner, around)


def _outermost(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, without those inside of others."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if not found or last > found[-1][1]:
            found.append((first, last))
    return found
