"""The task of a fork: a run's task with another seed."""

import shutil
from pathlib import Path

from evolve.archive import Proposal
from evolve.runs.reader import OpenRun
from evolve.tasks import copy_task_files


def copy_task(run: OpenRun, origin: Proposal, folder: Path) -> None:
    """Copy the task of a run, with a variant's files as its seed.

    Args:
        run: The run.
        origin: The variant.
        folder: Directory to create.

    Raises:
        NotFound: The proposal has no files.
    """
    copy_task_files(run.folder.path / "task", folder)
    peer = run.task.peer
    # the directory of another engine's task, unchanged
    if peer is not None and run.task.spec.peer is None:
        (folder / peer.program_path).write_bytes(run.files(origin)[peer.program])
        return
    shutil.rmtree(folder / "initial")
    run.write_files(origin, folder / "initial")
