"""The files that make a task: those in its folder, without what tools, people and runs keep there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MARKS = ("pyvenv.cfg", "run.toml")  # of a virtual environment, of a run


def task_files(folder: Path) -> list[Path]:
    """Paths in the folder, relative to it and sorted.

    What is hidden (`.git`, `.venv`, and `.env`, which holds keys) is of no task, nor are caches, virtual
    environments and the runs of somebody who began them in the task's folder.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place)
        folders[:] = [name for name in folders if _belongs(here, name)]
        found += [(here / name).relative_to(folder) for name in names
                  if not name.startswith(".") and (here / name).is_file()]
    return sorted(found)


def copy_task_files(folder: Path, target: Path) -> None:
    """Make `target` with a copy of each. Raises `OSError`."""
    target.mkdir()
    for inner in task_files(folder):
        (target / inner).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / inner, target / inner)


def _belongs(here: Path, name: str) -> bool:
    inside = here / name
    if name.startswith(".") or name == "__pycache__" or any((inside / mark).exists() for mark in _MARKS):
        return False
    return not (inside.is_symlink() and here.resolve().is_relative_to(inside.resolve()))  # no circles
