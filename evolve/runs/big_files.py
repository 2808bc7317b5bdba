"""Big data files of tasks: kept once for all runs of a folder, which link to them."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from evolve.tasks import task_files
from evolve.trust.store import add_content

BIG_BYTES = 8 << 20
_PLACE = ".data"  # in the folder of the runs


def copy_task(folder: Path, target: Path, runs_dir: Path) -> None:
    """Copy the files of a task into a new folder; its big ones become links.

    A link leads to a copy, so that a change of the original does not change the run.

    Args:
        folder: The task directory.
        target: Folder to create.
        runs_dir: Folder of all runs.

    Raises:
        OSError: A file can't be read or written.
        TaskError: A link leads out of the task.
    """
    target.mkdir()
    for inner in task_files(folder):
        source, copy = folder / inner, target / inner
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.stat().st_size < BIG_BYTES:
            shutil.copy2(source, copy)
            continue
        kept = _kept(source, runs_dir / _PLACE)
        try:
            os.link(kept, copy)
        except OSError:  # some file systems know no links
            shutil.copy2(source, copy)


def _kept(source: Path, place: Path) -> Path:
    """Return the copy of a file that all runs link to, made on first use."""
    digest = hashlib.sha256(str(source.stat().st_mode & 0o777).encode())
    add_content(digest, source)
    kept = place / digest.hexdigest()
    if not kept.exists():
        place.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as staging:
            shutil.copy2(source, Path(staging) / "copy")
            (Path(staging) / "copy").rename(kept)
    return kept


def remove_unused(runs_dir: Path) -> None:
    """Remove the big files that no run links to any more.

    Args:
        runs_dir: Folder of all runs.
    """
    for kept in (runs_dir / _PLACE).glob("*"):
        if kept.is_file() and kept.stat().st_nlink == 1:
            kept.unlink()
