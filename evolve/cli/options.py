"""Options that several verbs share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

RunName = Annotated[str, typer.Argument(help="A run: its name, a prefix, a path, or 'last'.")]
RunsDir = Annotated[Path | None, typer.Option("--runs-dir", help="Where run folders lie.",
                                              show_default="runs")]
Json = Annotated[bool, typer.Option("--json", help="Data for programs, on stdout.")]
Sandbox = Annotated[str | None, typer.Option(
    "--sandbox", help="auto, docker, bubblewrap, or local (isolates nothing).",
    show_default="auto")]


def runs_folder(given: Path | None) -> Path:
    """The flag, else EVOLVE_RUNS_DIR, else ./runs."""
    return given or Path(os.environ.get("EVOLVE_RUNS_DIR", "runs"))
