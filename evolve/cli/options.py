"""Options shared by several verbs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evolve.runs.folder import RunFolder
    from evolve.runs.reader import OpenRun


def _runs_like(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Yield names of runs for shell completion."""
    from evolve.runs.folder import list_runs

    folder = runs_folder(ctx.params.get("runs_dir"))
    yield from (
        path.name for path in list_runs(folder) if path.name.startswith(incomplete)
    )


def other_settings(given: list[str] | None) -> dict[str, Any]:
    """Return the settings of `--set`, by name.

    Args:
        given: texts `NAME=VALUE`; a value is TOML, or else text

    Returns:
        Name -> value, which the settings still check.

    Raises:
        UsageError: a text has no name
    """
    import tomllib

    from evolve.errors import UsageError

    found: dict[str, Any] = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip().isidentifier():
            raise UsageError(
                f"invalid --set {text!r}", "use NAME=VALUE, such as --set repeats=3"
            )
        try:
            found[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = value
    return found


def task_folder(path: Path | None) -> Path | None:
    """Refuse a file as a task directory, and find a shipped task by its name.

    Args:
        path: value of the argument

    Returns:
        The same path, or that of the shipped task.

    Raises:
        UsageError: the path is a file
    """
    from evolve.errors import UsageError

    if path is not None and path.is_file():
        raise UsageError(
            f"{path} is a file, not a task directory", f"use its folder: {path.parent}"
        )
    if path is not None and len(path.parts) == 1 and not path.exists():
        from evolve.tasks import shipped

        return shipped().get(path.name, path)
    return path


TaskDir = Annotated[
    Path, typer.Argument(help="A task directory.", callback=task_folder)
]
RunName = Annotated[
    str,
    typer.Argument(
        help="A run: its name, a prefix, a path, or 'last'.", autocompletion=_runs_like
    ),
]
MaybeRun = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="run",
        help="A run: its name, a prefix, or a path; by default the last one.",
        autocompletion=_runs_like,
        show_default=False,
    ),
]
ThatRun = Annotated[
    str | None,
    typer.Option("--run", help="The same, as for show and ban.", show_default=False),
]
RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", help="Folder of the runs.", show_default="runs"),
]
Json = Annotated[bool, typer.Option("--json", help="Data for programs, on stdout.")]
Sandbox = Annotated[
    str | None,
    typer.Option(
        "--sandbox",
        help="auto, docker, docker:RUNTIME (such as runsc, kata, crun), bubblewrap, or "
        "local (no isolation).",
        show_default="auto",
    ),
]


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="NAME=VALUE: any other setting (evolve config show); repeatable.",
        show_default=False,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only messages, no line per candidate.")
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Accept a run that somebody else made or changed."),
]


def runs_folder(given: Path | None) -> Path:
    """Return the folder of the runs.

    Args:
        given: value of --runs-dir

    Returns:
        The given folder, else EVOLVE_RUNS_DIR, else ./runs.
    """
    return given or Path(os.environ.get("EVOLVE_RUNS_DIR", "runs"))


def one_run(named: list[str] | None, option: str | None) -> str:
    """Return the only run that was named.

    For verbs with a required last argument: typer parses the run before it as a list.

    Args:
        named: runs given as arguments
        option: run given by --run

    Returns:
        Its name; "last" if none was named.

    Raises:
        UsageError: several runs
    """
    from evolve.errors import UsageError

    given = [*(named or ()), *([option] if option else ())]
    if len(given) > 1:
        raise UsageError(
            f"one run at a time, not {', '.join(given)}", "quote arguments with spaces"
        )
    return given[0] if given else "last"


def run_folder(runs_dir: Path | None, run: str) -> RunFolder:
    """Find a run.

    Args:
        runs_dir: value of --runs-dir
        run: name, prefix, path or "last"

    Returns:
        Its folder.

    Raises:
        UsageError: unknown or ambiguous run
    """
    from evolve.runs.folder import open_run

    return open_run(runs_folder(runs_dir), run)


def own_run(folder: RunFolder, trust: bool) -> RunFolder:
    """Return a run that this user has signed, or accepts now.

    A person at a terminal is asked; otherwise `--trust` is needed.

    Args:
        folder: the run
        trust: value of --trust

    Returns:
        The same run.

    Raises:
        TrustError: the run is foreign and was not accepted
        UsageError: the evaluator was changed after the run began
    """
    import sys

    from evolve.runs.signature import require_own, wishes_of
    from evolve.view.terminal.console import err

    if folder.is_own:
        return folder
    folder.task()  # a changed evaluator is another problem, which trust does not solve
    if not trust and sys.stdin.isatty() and sys.stderr.isatty():
        err.print(f"{folder.path} is not signed by you; it wants:")
        for wish in wishes_of(folder):
            err.print(f"  {wish}")
        trust = typer.confirm("trust it with your account?", err=True)
    if not trust:
        require_own(folder)
    folder.sign()
    return folder


@contextmanager
def opened(runs_dir: Path | None, run: str) -> Iterator[OpenRun]:
    """Open a run for reading.

    Args:
        runs_dir: value of --runs-dir
        run: name, prefix, path or "last"

    Yields:
        The open run, which is closed afterwards.

    Raises:
        UsageError: unknown or ambiguous run
    """
    from evolve.archive import Readable
    from evolve.runs.reader import OpenRun

    folder = run_folder(runs_dir, run)
    with Readable(folder.database):
        found = OpenRun(folder)
        try:
            yield found
        finally:
            found.close()


def emit(data: Any) -> None:
    """Print data for programs.

    Args:
        data: printed as one line of JSON on stdout
    """
    typer.echo(json.dumps(data))
