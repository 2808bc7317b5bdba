"""The target: functions of one file in a repository."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evolve.errors import UsageError, did_you_mean

_ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "PKG-INFO")
_EXAMPLE = "for example: evolve optimize package/module.py:function"
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Target:
    """Functions of one file.

    Attributes:
        root: The repository, absolute.
        source: The directory from which its packages are imported, absolute.
        path: The file, relative to `source`.
        region: The function or class that may change; None: the whole file.
        names: Qualified names of the functions that are compared and timed.
    """

    root: Path
    source: Path
    path: str
    region: str | None
    names: tuple[str, ...]

    @property
    def module(self) -> str:
        """The dotted name of the file's module."""
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def functions(self) -> list[str]:
        """Module and qualified name of each function, such as `boltons.iterutils:remap`."""
        return [f"{self.module}:{name}" for name in self.names]

    @property
    def title(self) -> str:
        """The name for people, such as `boltons.iterutils.remap`."""
        return f"{self.module}.{self.region}" if self.region else self.module


def find_target(text: str, folder: Path) -> Target:
    """Find the functions that a text names.

    Args:
        text: `path/module.py:function`, `package.module:Class.method`, a class or a file.
        folder: Where paths and packages begin.

    Returns:
        The target.

    Raises:
        UsageError: The file or function does not exist, or can't be called alone.
    """
    place, _, name = text.partition(":")
    if not name and (folder / place).is_dir():
        raise UsageError(
            f"{folder / place} is a directory",
            f"name a file or a function in it; {_EXAMPLE}",
        )
    file = _file_of(place, folder)
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        raise UsageError(
            f"{file}:{error.lineno}: {error.msg}", "name a file of this Python"
        ) from None
    source = _source_of(file)
    known = dict(_definitions(tree.body, ""))
    if name and name not in known:
        raise UsageError(f"{file} has no function {name!r}", did_you_mean(name, known))
    names = tuple(_functions(known, name))
    if not names:
        what = f"{name} of {file}" if name else str(file)
        raise UsageError(f"{what} has no function that can be called alone", _EXAMPLE)
    path = file.relative_to(source).as_posix()
    return Target(root_of(source), source, path, name or None, names)


def _file_of(place: str, folder: Path) -> Path:
    """Return the file of a path, or of a dotted name."""
    given = folder / place
    inner = place.replace(".", "/")
    named = [
        folder / base / f"{inner}{end}"
        for base in ("", "src")
        for end in (".py", "/__init__.py")
    ]
    for file in (given, *named):
        if file.is_file() and file.suffix == ".py":
            return file.resolve()
    raise UsageError(f"there is no Python file {place!r} in {folder}", _EXAMPLE)


def _source_of(file: Path) -> Path:
    """Return the directory from which a file's package is imported."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def root_of(folder: Path) -> Path:
    """Return the repository of a directory.

    Args:
        folder: A directory.

    Returns:
        The nearest one above with version control or a packaging file; else itself.
    """
    for place in (folder, *folder.parents):
        if any((place / mark).exists() for mark in _ROOT_MARKS):
            return place.resolve()
    return folder.resolve()


def _definitions(body: list[ast.stmt], above: str) -> Iterator[tuple[str, Definition]]:
    """Yield the functions and classes of a module with their qualified names."""
    for node in body:
        if isinstance(node, Definition):
            name = f"{above}{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, f"{name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from _definitions(node.body, above)


def _functions(known: dict[str, Definition], name: str) -> Iterator[str]:
    """Yield the functions of a name: one, or all of a class or file."""
    for found, node in known.items():
        inside = not name or found == name or found.startswith(f"{name}.")
        if inside and isinstance(node, ast.FunctionDef):
            yield found
    if name and isinstance(known[name], ast.AsyncFunctionDef):
        raise UsageError(
            f"{name} is a coroutine, which is not called alone",
            "name the function that does the work in it",
        )
