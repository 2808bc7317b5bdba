"""The files that make a task: those in its folder, without what tools, people and runs keep there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

_OF_TOOLS = frozenset((".git", ".venv", "__pycache__", ".DS_Store", ".mypy_cache", ".pytest_cache",
                       ".ruff_cache", ".hypothesis", ".ipynb_checkpoints", ".tox", ".idea", ".vscode"))
_MARKS = ("pyvenv.cfg", "run.toml")  # of a virtual environment, of a run
SEED = "initial"


def of_tools(name: str) -> bool:
    """Whether a file or folder of this name is of no task: caches, version control, and `.env`: keys."""
    return name in _OF_TOOLS or name.startswith(".env")


def task_files(folder: Path) -> list[Path]:
    """Paths in the folder, relative to it and sorted. Raises `OSError` for what can't be read.

    Virtual environments are left out, and the runs of somebody who began them in the task's folder.
    """
    return sorted(path.relative_to(folder) for path in _walk(folder, folder, frozenset()))


def copy_task_files(folder: Path, target: Path) -> None:
    """Make `target` with a copy of each. Raises `OSError`."""
    target.mkdir()
    for inner in task_files(folder):
        (target / inner).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / inner, target / inner)


def _walk(place: Path, folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    real = place.resolve()
    if real in above:  # a link that leads back
        return
    for path in place.iterdir():
        if of_tools(path.name):
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not _is_foreign(path, folder):
            yield from _walk(path, folder, above | {real})


def _is_foreign(path: Path, folder: Path) -> bool:
    """An environment or a run; in the seed such names are the program's own."""
    in_seed = path.relative_to(folder).parts[0] == SEED
    return not in_seed and any((path / mark).exists() for mark in _MARKS)
