"""`evolve rescue`: a new run with the readable part of a damaged one."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from evolve.archive import AGGREGATE_KEY, CodeStore
from evolve.archive.rescue import Rescued, rescue
from evolve.config import Settings
from evolve.errors import EvolveError, RunError, UsageError
from evolve.runs.folder import RunFolder, open_run, write_run_toml
from evolve.runs.reader import make_folder
from evolve.tasks import load_task

_NOT_COPIED = ("archive.db", "archive.db-wal", "archive.db-shm", "lock", "stop")


def rescue_run(runs_dir: Path, which: str, target: Path) -> dict[str, Rescued]:
    """Save the readable part of a run into a new one; the damaged one is not changed.

    Args:
        runs_dir: Folder of all runs.
        which: Name, prefix or path of the run.
        target: Folder of the new run; an empty one may be there.

    Returns:
        The result by table of the archive.

    Raises:
        UsageError: The run does not exist, or `target` is not empty.
        RunError: It can't be read or written.
        ArchiveError: Its archive can't be read at all, or the new one not be written.
    """
    run = _opened(runs_dir, which)
    if run.worker() is not None:
        raise UsageError(f"{run.name} is running", f"stop it: evolve stop {run.quoted}")
    make_folder(target)
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as staging:
            new = replace(run, path=Path(staging) / "run")
            _copy(run.path, new.path)
            saved = rescue(run.database, run.code, new.database, _facts(run))
            if not new.code.is_dir():
                CodeStore.create(new.code)
            (new.path / "lock").touch()
            try:
                open_run(new.path.parent, str(new.path))
            except UsageError:  # its settings are lost: those by default
                write_run_toml(new)
            target.rmdir()
            new.path.rename(target)
    except (OSError, shutil.Error) as error:
        raise RunError(
            f"{run.path} can't be copied to {target}: {error}",
            "choose another folder: -o NEW",
        ) from None
    if run.is_own:
        replace(run, path=target.resolve()).sign()
    return saved


def _opened(runs_dir: Path, which: str) -> RunFolder:
    """Open a run, also one with a damaged run.toml."""
    try:
        return open_run(runs_dir, which)
    except UsageError:
        path = next(
            (
                p
                for p in (Path(which), runs_dir / which)
                if (p / "archive.db").is_file()
            ),
            None,
        )
        if path is None:
            raise
    try:
        task = load_task(path / "task")
    except EvolveError as error:
        raise RunError(
            f"neither {path / 'run.toml'} nor its task can be read: {error.message}",
            "copy them from another place",
        ) from None
    return RunFolder(path.resolve(), task.spec.name, Settings(), task.evaluator_hash)


def _copy(source: Path, target: Path) -> None:
    """Copy a run without its archive; links are left out, as no run needs one."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        place = Path(folder)
        top = _NOT_COPIED if place == source else ()
        return [name for name in names if name in top or (place / name).is_symlink()]

    shutil.copytree(source, target, ignore=left_out)


def _facts(run: RunFolder) -> dict[str, str]:
    """Return the facts of the archive that other files hold, too."""
    facts = {"evaluator": run.evaluator_hash, "seed": str(run.settings.seed)}
    try:
        aggregate = load_task(run.path / "task", hashed=False).spec.aggregate
    except EvolveError:
        return facts
    return facts | ({AGGREGATE_KEY: aggregate} if aggregate != "mean" else {})
