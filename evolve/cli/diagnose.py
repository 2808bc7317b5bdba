"""`evolve doctor`: check this machine. `evolve sandbox prune`: remove leftovers."""

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
    no_args_is_help=True, help="Containers and images of this tool."
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


@sandbox_verbs.command()
def prune(
    images: Annotated[
        bool, typer.Option("--images", help="Also remove images that it built.")
    ] = False,
) -> None:
    """Remove containers of engines that have ended; others are never touched."""
    from evolve.sandbox import docker
    from evolve.view.terminal.console import out

    client = docker.connect()
    out.print(f"{docker.prune(client)} containers removed")
    if images:
        out.print(f"{docker.prune_images(client)} images removed")
    client.close()
