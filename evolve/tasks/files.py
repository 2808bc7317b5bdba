"""The files of a task: its folder without files of tools, people and runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from evolve.errors import TaskError

_OF_TOOLS = frozenset(
    (
        ".git",
        ".venv",
        "__pycache__",
        ".DS_Store",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".ipynb_checkpoints",
        ".tox",
        ".idea",
        ".vscode",
    )
)
_MARKS = ("pyvenv.cfg", "run.toml")  # mark a virtual environment and a run
SEED = "initial"


def of_tools(name: str) -> bool:
    """Return whether a file or folder of this name never belongs to a task.

    Args:
        name: the last part of a path

    Returns:
        True for caches, version control and editors, and for `.env*`, which holds keys.
    """
    return name in _OF_TOOLS or name.startswith(".env")


def task_files(folder: Path) -> list[Path]:
    """List the files of a task.

    Virtual environments, and runs started inside the task's folder, are left out.

    Args:
        folder: the task directory

    Returns:
        Paths relative to `folder`, sorted.

    Raises:
        OSError: a file or folder can't be read
        TaskError: a link leads out of the folder
    """
    return sorted(
        path.relative_to(folder) for path in _walk(folder, folder, frozenset())
    )


def copy_task_files(folder: Path, target: Path) -> None:
    """Copy the files of a task into a new folder.

    Args:
        folder: the task directory
        target: folder to create

    Raises:
        OSError: `target` exists, or a file can't be read or written
        TaskError: a link leads out of the folder
    """
    target.mkdir()
    for inner in task_files(folder):
        (target / inner).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / inner, target / inner)


def _walk(place: Path, folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    real = place.resolve()
    if real in above:  # a symbolic link to a parent folder
        return
    for path in place.iterdir():
        if of_tools(path.name):
            continue
        if path.is_symlink():
            check_inside(path, folder)
        if path.is_file():
            yield path
        elif path.is_dir() and not _is_foreign(path, folder):
            yield from _walk(path, folder, above | {real})


def _is_foreign(path: Path, folder: Path) -> bool:
    """Return whether a folder is an environment or a run.

    Inside the seed such names belong to the program itself.
    """
    in_seed = path.relative_to(folder).parts[0] == SEED
    return not in_seed and any((path / mark).exists() for mark in _MARKS)


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a path that leads out of a task: the scorer and the models see its files.

    Args:
        path: a file, a folder or a link
        folder: the task directory

    Raises:
        TaskError: its target is not in `folder`
    """
    target = path.resolve()
    if not target.is_relative_to(folder.resolve()):
        raise TaskError(
            f"{path} leads out of the task, to {target}",
            "copy what it needs into the task directory",
        )
