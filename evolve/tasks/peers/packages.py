"""Packages of a foreign task: its requirements.txt, plus the imports of its files."""

import ast
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evolve.tasks.requirement import check_requirement

# Known packages of modules: module -> package. Others are never installed unasked.
KNOWN = {
    "numpy": "numpy",
    "scipy": "scipy",
    "sympy": "sympy",
    "pandas": "pandas",
    "networkx": "networkx",
    "sklearn": "scikit-learn",
    "numba": "numba",
    "yaml": "PyYAML",
    "shapely": "shapely",
    "matplotlib": "matplotlib",
    "PIL": "pillow",
    "tqdm": "tqdm",
    "jax": "jax",
    "optax": "optax",
    "torch": "torch",
    "cvxpy": "cvxpy",
    "requests": "requests",
    "bs4": "beautifulsoup4",
}
_OURS = (
    "shinka",
    "shinka-evolve",
    "openevolve",
    "skydiscover",
    "codeevolve",
    "wrapper",
)
_PRELOADED = ("numpy", "scipy", "scipy.optimize", "pandas", "sympy", "networkx")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Packages:
    """Packages to install for candidate and scorer.

    Attributes:
        wanted: requirements, as pip reads them
        unknown: imported modules without a known package
        warnings: lines of requirements.txt that were ignored
    """

    wanted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def packages_of(folder: Path, files: Iterable[Path]) -> Packages:
    """Return declared packages, and known packages that the files import.

    Args:
        folder: the task directory
        files: Python files of the program and the evaluator

    Returns:
        Declared packages first, then those of imported modules, sorted by module.
    """
    files = tuple(files)
    declared, warnings = _declared(
        dict.fromkeys([folder, *(path.parent for path in files)])
    )
    names = {_normal(name) for name in declared}
    imported = set[str]().union(*(imports_of(path) for path in files))
    local = {path.stem for file in files for path in file.parent.glob("*.py")} | {
        path.name for file in files for path in file.parent.iterdir() if path.is_dir()
    }
    foreign = imported - local - set(_OURS) - sys.stdlib_module_names
    guessed = [
        KNOWN[name]
        for name in sorted(foreign & KNOWN.keys())
        if _normal(KNOWN[name]) not in names
    ]
    unknown = tuple(
        sorted(name for name in foreign - KNOWN.keys() if _normal(name) not in names)
    )
    return Packages((*declared, *guessed), unknown, tuple(warnings))


def _declared(folders: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Return the requirements and the warnings of the first requirements.txt."""
    for folder in folders:
        path = folder / "requirements.txt"
        if path.is_file():
            break
    else:
        return [], []
    wanted, warnings = [], []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        text = line.partition("#")[0].strip()
        found = _NAME.match(text)
        if not text or (found and _normal(found.group()) in _OURS):
            continue
        try:
            check_requirement(text)
        except ValueError:
            warnings.append(
                f"{path}:{number}: {text!r} is ignored: only packages are installed"
            )
            continue
        wanted.append(text)
    return wanted, warnings


def _normal(name: str) -> str:
    found = _NAME.match(name)
    return re.sub(r"[-_.]+", "-", found.group() if found else name).lower()


def imports_of(path: Path) -> set[str]:
    """Return modules that a file imports, without optional imports.

    Args:
        path: a Python file

    Returns:
        Top-level names; imports in a `try` that catches ImportError are left out. Empty
        if the file can't be read or parsed.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, UnicodeDecodeError, OSError):
        return set()
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Try) and any(
            _catches_import(handler) for handler in node.handlers
        ):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
        waiting += ast.iter_child_nodes(node)
    return found


def _catches_import(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and "Import" in ast.unparse(handler.type)


def preloaded(text: str, packages: Iterable[str]) -> tuple[str, ...]:
    """Return modules to load once, before candidates start.

    Args:
        text: source of the program
        packages: requirements that are installed

    Returns:
        Those of a fixed list of large modules that are installed and imported by the
        program.
    """
    installed = {_normal(name) for name in packages}
    return tuple(
        name
        for name in _PRELOADED
        if name.partition(".")[0] in installed
        and re.search(
            rf"^[ \t]*(import|from)[ \t]+{re.escape(name)}\b", text, re.MULTILINE
        )
    )
