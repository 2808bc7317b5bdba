"""Options that several verbs share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer


def _runs_like(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Names for the shell to complete."""
    from evolve.runs.folder import list_runs

    folder = runs_folder(ctx.params.get("runs_dir"))
    yield from (
        path.name for path in list_runs(folder) if path.name.startswith(incomplete)
    )


def task_folder(path: Path | None) -> Path | None:
    """A callback: people point at task.toml. Raises `UsageError`."""
    from evolve.errors import UsageError

    if path is not None and path.is_file():
        raise UsageError(
            f"{path} is a file, no task directory", f"give its folder: {path.parent}"
        )
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
        help="A run: its name, a prefix, a path; the last one when left out.",
        autocompletion=_runs_like,
        show_default=False,
    ),
]
ThatRun = Annotated[
    str | None,
    typer.Option("--run", help="The same, as with show and ban.", show_default=False),
]
RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", help="Where run folders lie.", show_default="runs"),
]
Json = Annotated[bool, typer.Option("--json", help="Data for programs, on stdout.")]
Sandbox = Annotated[
    str | None,
    typer.Option(
        "--sandbox",
        help="auto, docker, bubblewrap, or local (isolates nothing).",
        show_default="auto",
    ),
]


def runs_folder(given: Path | None) -> Path:
    """The flag, else EVOLVE_RUNS_DIR, else ./runs."""
    return given or Path(os.environ.get("EVOLVE_RUNS_DIR", "runs"))


def one_run(named: list[str] | None, option: str | None) -> str:
    """Of verbs whose last argument is required, so that the run before it is a list for typer."""
    from evolve.errors import UsageError

    given = [*(named or ()), *([option] if option else ())]
    if len(given) > 1:
        raise UsageError(
            f"one run at a time, not {', '.join(given)}", "quote what has spaces"
        )
    return given[0] if given else "last"
