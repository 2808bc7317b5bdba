"""A run's task with another seed: what a fork begins with."""

from __future__ import annotations

import shutil
from pathlib import Path

from evolve.archive import Proposal
from evolve.runs.reader import OpenRun
from evolve.tasks import copy_task_files


def copy_task(run: OpenRun, origin: Proposal, folder: Path) -> None:
    """Copy the task, with the variant's files as its seed. Raises `NotFound` when it has none."""
    copy_task_files(run.folder.path / "task", folder)
    peer = run.task.peer
    # another engine's folder, as it is
    if peer is not None and run.task.spec.peer is None:
        (folder / peer.program_path).write_bytes(run.files(origin)[peer.program])
        return
    shutil.rmtree(folder / "initial")
    run.write_files(origin, folder / "initial")
