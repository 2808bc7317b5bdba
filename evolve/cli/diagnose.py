"""`evolve doctor`: check this machine. `evolve sandbox`: list and remove its products."""

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import (
    Json,
    RunsDir,
    Sandbox,
    emit,
    runs_folder,
    task_folder,
)

_MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


app = typer.Typer()
sandbox_verbs = typer.Typer(
    no_args_is_help=True, help="Containers, images and cache of this tool."
)
app.add_typer(sandbox_verbs, name="sandbox")


@app.command()
def doctor(
    task_dir: Annotated[
        Path | None,
        typer.Argument(
            help="Also check this task.", show_default="none", callback=task_folder
        ),
    ] = None,
    sandbox: Sandbox = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Send it a short prompt; repeatable."),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a missing requirements.txt.")
    ] = False,
    security: Annotated[
        bool,
        typer.Option(
            "--security", help="Show what is enforced here, with the fix for each gap."
        ),
    ] = False,
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Check this machine, and a task: sandboxes, image, models, evaluator, seed."""
    import asyncio

    from rich.text import Text

    from evolve.checking.doctor import examine
    from evolve.checking.security import examine_security
    from evolve.view.terminal.console import note, out

    findings = (
        examine_security(runs_folder(runs_dir))
        if security
        else asyncio.run(examine(task_dir, sandbox or "auto", model or (), note, fix))
    )
    if json:
        emit([vars(finding) for finding in findings])
    else:
        for finding in findings:
            out.print(
                Text.assemble(
                    _MARKS[finding.state],
                    f" {finding.what}",
                    finding.fix and f" · {finding.fix}",
                )
            )
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(3)


@sandbox_verbs.command("ls")
def list_made(json: Json = False) -> None:
    """List all products of this tool: containers, images, the cache."""
    from evolve.sandbox import leftovers
    from evolve.view.terminal.console import err, out

    found, problems = leftovers.everything()
    if json:
        emit([made._asdict() for made in found])
    else:
        for made in found:
            out.print(f"{made.kind:<10} {made.size_bytes / 1e6:9,.1f} MB  {made.name}")
        total = sum(made.size_bytes for made in found)
        out.print(f"{len(found)} things, {total / 1e6:,.1f} MB")
    for problem in problems:
        err.print(problem)


@sandbox_verbs.command()
def prune(
    images: Annotated[
        bool, typer.Option("--images", help="Also remove images that it built.")
    ] = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache", help="Also remove root file systems and packages of the cache."
        ),
    ] = False,
) -> None:
    """Remove containers and folders of engines that have ended; with options, more.

    Others are never touched. Images and cache are made again when they are needed.
    """
    from evolve.sandbox import leftovers
    from evolve.view.terminal.console import err, out

    kinds = ["container", "temporary", *(["image"] if images else [])]
    kinds += ["cache"] if cache else []
    removed, problems = leftovers.remove(kinds)
    for kind, counted in removed.items():
        out.print(f"{counted} {leftovers.PLURAL[kind]} removed")
    for problem in problems:
        err.print(problem)
