"""A run's task with another seed: what a fork begins with."""

from __future__ import annotations

import shutil
from pathlib import Path

from archive import Proposal
from evolve.view.reading import OpenRun


def copy_task(run: OpenRun, origin: Proposal, folder: Path) -> None:
    """Copy the task, with the variant's files as its seed. Raises `NotFound` when it has none."""
    shutil.copytree(run.folder.path / "task", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(folder / "initial")
    run.write_files(origin, folder / "initial")
