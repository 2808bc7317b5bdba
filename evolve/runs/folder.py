"""The run directory: everything about one evolution, in one place that can be moved.

run.toml   settings and facts      archive.db   all records           code.git   code
task/      a copy of the task      logs/        output of scorers     lock       the live engine
signature  of this user, over run.toml, task/ and git's settings
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve import __version__
from evolve.config import Settings, build_settings
from evolve.errors import (
    PrerequisiteError,
    RunError,
    RunLocked,
    TaskError,
    UsageError,
    did_you_mean,
)
from evolve.text import quoted
from evolve.trust import store

if TYPE_CHECKING:
    from evolve.tasks import Task

_FRESH_NAMES, _LONGEST_NAME = 100, 100
SIGNATURE = "signature"


@dataclass(frozen=True)
class RunFolder:
    """Paths and settings of one run.

    Attributes:
        path: The run directory.
        task_name: Name of the task.
        settings: Settings of the run.
        evaluator_hash: Hash of the evaluator that the run began with.
        replay_of: Name of the replayed run; None: not a replay.
        source: The task directory when the run began; None if unknown.
    """

    path: Path
    task_name: str
    settings: Settings
    evaluator_hash: str
    replay_of: str | None = None
    source: str | None = None

    @property
    def name(self) -> str:
        """Name of the run, which is that of its directory."""
        return self.path.name

    @property
    def quoted(self) -> str:
        """Name of the run for commands that a person pastes."""
        return quoted(self.name)

    @property
    def database(self) -> Path:
        """File of the archive, an SQLite database."""
        return self.path / "archive.db"

    @property
    def code(self) -> Path:
        """Bare git repository with the code of all variants."""
        return self.path / "code.git"

    @property
    def scorer_log(self) -> Path:
        """Log file of the scorer's processes."""
        return self.path / "logs" / "scorer.log"

    @property
    def is_own(self) -> bool:
        """Whether this user signed the run as it is: settings, task, git's settings."""
        try:
            code = (self.path / SIGNATURE).read_text()
            return store.is_signed(_signed_content(self.path), code.strip())
        except (OSError, UnicodeDecodeError, TaskError):
            return False

    def sign(self) -> None:
        """Sign the run as this user's; its git repository loses hooks and settings.

        Raises:
            PrerequisiteError: The user's data directory can't be written.
            RunError: The run directory can't be written, or can't be read completely.
        """
        from evolve.archive.git import make_harmless

        refuse_links(self.path)
        try:
            make_harmless(self.code)
            code = store.sign(_signed_content(self.path))
            replace_file(self.path / SIGNATURE, f"{code}\n")
        except OSError as error:
            raise RunError(
                f"can't sign {self.path}: {error.strerror}",
                "fix the permissions of the run directory",
            ) from None

    @property
    def stop_file(self) -> Path:
        """File whose appearance stops the run."""
        return self.path / "stop"

    @property
    def inbox(self) -> Path:
        """Directory of messages from people to the engine."""
        return self.path / "inbox"

    def ask_to_stop(self) -> None:
        """Write the file that stops the run; a link in its place is not followed."""
        os.close(os.open(self.stop_file, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW))

    def task(self) -> Task:
        """Load the run's copy of the task.

        Returns:
            The task.

        Raises:
            TaskError: A file of the copy is missing or not valid.
            UsageError: Its evaluator was changed after the run began.
        """
        from evolve.tasks import load_task

        task = replace(load_task(self.path / "task"), trusted=self.is_own)
        if task.evaluator_hash != self.evaluator_hash:
            raise UsageError(
                f"the evaluator in {self.path / 'task'} was changed after the run "
                "began: its scores can't be compared",
                "restore it, or begin a new run with the changed task",
            )
        return task

    def task_changed(self, task: Task) -> bool:
        """Return whether the original of the run's task was changed since the run began.

        Args:
            task: The run's copy of the task.

        Returns:
            Whether evaluator, seed or prompts differ, or the original is not a valid task
            any more; False if its directory is gone or unreadable.
        """
        from evolve.tasks import load_task, with_cases

        try:
            if self.source is None or not Path(self.source).is_dir():
                return False
            now = load_task(Path(self.source))
            # they are part of the hash, and only the copy has them
            if task.made_cases is not None:
                now = with_cases(now, task.made_cases)
        except OSError:
            return False
        except TaskError:
            return True
        return (now.evaluator_hash, now.seed, _prompts(now)) != (
            self.evaluator_hash,
            task.seed,
            _prompts(task),
        )

    def facts(self) -> dict[str, Any]:
        """Return the contents of run.toml except the settings.

        Returns:
            JSON data: task, evaluator, version, and `replay_of` and `source` if known.
        """
        named = {"replay_of": self.replay_of, "source": self.source}
        return {
            "task": self.task_name,
            "evaluator": self.evaluator_hash,
            "version": __version__,
        } | {key: value for key, value in named.items() if value is not None}

    def worker(self) -> str | None:
        """Return the engine that works on the run now.

        Returns:
            Process and host in words; None if no engine is running.
        """
        try:
            file = (self.path / "lock").open()
        except FileNotFoundError:
            return None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read().strip() or "another process"
        return None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Context manager: lock the run for one engine; the lock ends with the process.

        Raises:
            RunLocked: Another engine works on the run.
            RunError: The directory is not writable, or holds a link.
        """
        refuse_links(self.path)
        try:
            file = os.fdopen(
                os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW),
                "r+",
            )
        except OSError as error:
            raise RunError(
                f"can't write to {self.path}: {error.strerror}",
                "fix the permissions of the run directory",
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise RunLocked(
                    f"the run {self.name} is already running ({file.read().strip()})",
                    f"wait until it ends, or: evolve stop {self.quoted}",
                ) from None
            name = f"process {os.getpid()} on {socket.gethostname()}".encode()
            try:
                os.pwrite(file.fileno(), name, 0)
                os.ftruncate(file.fileno(), len(name))
            except OSError as error:
                raise self.unwritable(error) from None
            yield

    def unwritable(self, error: OSError) -> RunError:
        """Return the error for a run directory on a full disk, or with a used-up quota.

        Args:
            error: The error of the system.
        """
        return RunError(
            f"can't write to {self.path}: {error.strerror}",
            f"free disk space there, then: evolve resume {self.quoted}",
        )


def create_run(
    runs_dir: Path,
    name: str | None,
    task: Task,
    settings: Settings,
    fill: Callable[[RunFolder], None],
    replay_of: str | None = None,
) -> RunFolder:
    """Create a run directory with a copy of the task, completely or not at all.

    Args:
        runs_dir: Directory of all runs; created if missing.
        name: Name of the run; None: choose a free one.
        task: The task to copy.
        settings: Settings of the run.
        fill: Creates the archive and the repository in the new directory.
        replay_of: Name of the replayed run; None: not a replay.

    Returns:
        The run.

    Raises:
        UsageError: The name is taken or not valid.
        RunError: The directory is not writable, or no free name was found.
    """
    from evolve.runs.big_files import copy_task

    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=runs_dir) as staging:
            path = Path(staging) / "run"
            (path / "logs").mkdir(parents=True)
            copy_task(task.folder, path / "task", runs_dir)
            _complete_task(path / "task", task)
            (path / "lock").touch()
            run = RunFolder(
                path,
                task.spec.name,
                settings,
                task.evaluator_hash,
                replay_of,
                str(task.folder),
            )
            write_run_toml(run)
            fill(run)
            with contextlib.suppress(PrerequisiteError):
                run.sign()  # without a place for a key, resuming asks for --trust
            path.chmod(0o700)  # prompts and code may be private on a shared machine
            final = _give_name(path, runs_dir, name)
    except OSError as error:
        about = f"{error.filename}: " if error.filename else ""
        raise RunError(
            f"can't write to {runs_dir}: {about}{error.strerror}",
            "choose another place: --runs-dir DIR",
        ) from None
    return replace(run, path=final.resolve())


def _complete_task(copy: Path, task: Task) -> None:
    """Add to a copy of a task the built-in agent and the generated cases, if it uses them."""
    from evolve.tasks import CASES

    if task.made_cases is not None:
        (copy / CASES).write_text(task.made_cases)
    if task.peer is not None or (copy / "initial").exists():
        return
    for name, content in task.seed.items():
        target = copy / "initial" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def write_run_toml(run: RunFolder) -> None:
    """Write run.toml, completely or not at all.

    Args:
        run: The run with its settings.
    """
    import tomli_w

    values = run.settings.model_dump(
        mode="json", exclude_none=True, exclude={"runs_dir"}
    )
    text = tomli_w.dumps({"run": run.facts(), "settings": values})
    try:
        replace_file(run.path / "run.toml", text)
    except OSError as error:
        raise run.unwritable(error) from None


def replace_file(path: Path, text: str) -> None:
    """Write a file, completely or not at all; a link in its place is replaced.

    Args:
        path: The file.
        text: Its new content.

    Raises:
        OSError: The directory is not writable.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)  # of an earlier writer, or a link
    with fresh.open("x", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def refuse_links(path: Path, deep: bool = True) -> None:
    """Refuse a run directory that holds links: writing through one changes other files.

    Args:
        path: The run directory, or a directory in it; it may be missing.
        deep: Whether to look into all directories below it.

    Raises:
        RunError: Names the first link.
    """
    for entry in _entries(path, deep):
        if entry.is_symlink():
            raise RunError(
                f"{entry.path} is a link, which no run needs",
                "copy what it leads to, or remove it",
            )


def _entries(path: Path | str, deep: bool) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a directory, and those below it; none if it is missing."""
    try:
        entries = os.scandir(path)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            yield entry
            if deep and entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, deep)


def _signed_content(path: Path) -> bytes:
    """Return what a signature covers: run.toml, the task's copy, git's settings.

    Raises:
        OSError: A file can't be read.
        TaskError: A link leads out of the task's copy.
    """
    from evolve.tasks.accepted import digest_of

    parts = [(path / "run.toml").read_bytes(), digest_of(path / "task").encode()]
    config = path / "code.git" / "config"
    parts.append(config.read_bytes() if config.is_file() else b"")
    return b"".join(hashlib.sha256(part).digest() for part in parts)


def open_run(runs_dir: Path, which: str) -> RunFolder:
    """Open a run.

    Args:
        runs_dir: Directory of all runs.
        which: Path, name or unique prefix of a name; "last": the last used run that is
            not a replay, if there is one.

    Returns:
        The run.

    Raises:
        UsageError: No run matches, several do, or run.toml is not valid.
    """
    path = _find(runs_dir, which)
    try:
        for name in (".", "code.git"):
            refuse_links(path / name, deep=False)
        values = tomllib.loads((path / "run.toml").read_text())
        facts, settings = values["run"], values["settings"]
        none = {"max_variants": None} if "max_variants" not in settings else {}
        return RunFolder(
            path,
            facts["task"],
            build_settings(settings | none | {"runs_dir": path.parent}, {}),
            facts["evaluator"],
            facts.get("replay_of"),
            facts.get("source"),
        )
    except PermissionError as error:
        raise UsageError(
            f"{path} can't be read: {error.strerror}", "it belongs to another user"
        ) from None
    except (
        OSError,
        KeyError,
        TypeError,
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
    ) as error:
        raise UsageError(
            f"{path} is not a run directory: {error}", "list the runs: evolve ls"
        ) from None


def list_runs(runs_dir: Path) -> list[Path]:
    """Return all run directories.

    Args:
        runs_dir: Directory of all runs.

    Returns:
        Last used first; empty if `runs_dir` does not exist.
    """
    if not runs_dir.is_dir():
        return []
    return sorted(filter(_is_run, runs_dir.iterdir()), key=_last_used, reverse=True)


def _is_run(path: Path) -> bool:
    """Return whether a directory is a run, as far as this user can see."""
    try:
        return (path / "run.toml").is_file()
    except PermissionError:  # another user's
        return not path.name.startswith(".")


def _last_used(path: Path) -> float:
    try:
        return (path / "lock").stat().st_mtime
    except OSError:  # deleted by a person, or another user's
        return 0.0


def _find(runs_dir: Path, which: str) -> Path:
    if _is_run(Path(which)):
        return Path(which).resolve()
    runs = list_runs(runs_dir)
    if not runs:
        raise UsageError(
            f"there is no run in {runs_dir}", "start one: evolve run TASK_DIR"
        )
    if which == "last":
        own = (path for path in runs if not _is_replay(path))
        return next(own, runs[0]).resolve()
    found = [p for p in runs if p.name == which] or [
        p for p in runs if p.name.startswith(which)
    ]
    if not found:
        raise UsageError(
            f"there is no run {which!r} in {runs_dir}",
            did_you_mean(which, [p.name for p in runs]),
        )
    if len(found) > 1:
        raise UsageError(
            f"{which!r} matches {len(found)} runs in {runs_dir}",
            f"use one of: {', '.join(sorted(p.name for p in found))}",
        )
    return found[0].resolve()


def _is_replay(path: Path) -> bool:
    """Return whether a run is a replay, or another user's; False if it is damaged."""
    try:
        return "replay_of" in tomllib.loads((path / "run.toml").read_text())["run"]
    except PermissionError:
        return True
    except (OSError, KeyError, TypeError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def _is_name(name: str) -> bool:
    """Return whether a run can have this name: it is shown on one line, and pasted."""
    begins_well = not name.startswith(("-", "."))
    fits = 0 < len(name) <= _LONGEST_NAME and len(name.encode(errors="replace")) < 256
    return (
        begins_well
        and fits
        and name.isprintable()
        and "/" not in name
        and name != "last"
    )


def check_name(runs_dir: Path, name: str) -> None:
    """Check the name of a new run.

    Args:
        runs_dir: Directory of all runs.
        name: The name.

    Raises:
        UsageError: It is taken or not valid.
    """
    if not _is_name(name):
        raise UsageError(
            f"invalid run name {name[:_LONGEST_NAME]!r}",
            f"use letters, digits and dashes, at most {_LONGEST_NAME}",
        )
    if (runs_dir / name).exists():
        raise UsageError(
            f"the run {name} exists already in {runs_dir}",
            f"resume it (evolve resume {quoted(name)}) or choose another --name",
        )


def _give_name(path: Path, runs_dir: Path, name: str | None) -> Path:
    """Rename the directory to the given name, or to a free one."""
    if name is not None:
        check_name(runs_dir, name)
        return path.rename(runs_dir / name)
    from coolname import generate_slug

    for _ in range(_FRESH_NAMES):
        fresh: Path = runs_dir / generate_slug(2)
        if not fresh.exists():
            # another run took it in the meantime
            with contextlib.suppress(OSError):
                return path.rename(fresh)
    raise RunError(f"no free name found in {runs_dir}", "choose one: --name NAME")


def _prompts(task: Task) -> dict[str, bytes]:
    """Return the prompt templates of the task: file name -> content."""
    return {
        path.name: path.read_bytes() for path in (task.folder / "prompts").glob("*.j2")
    }
