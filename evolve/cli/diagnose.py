"""`evolve doctor`: check this machine. `evolve sandbox prune`: remove leftovers."""

from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import Json, Sandbox, emit, task_folder


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.command()(doctor)
    sandbox_verbs = typer.Typer(
        no_args_is_help=True, help="Containers and images of this tool."
    )
    sandbox_verbs.command()(prune)
    app.add_typer(sandbox_verbs, name="sandbox")


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
    json: Json = False,
) -> None:
    """Check this machine, and a task: sandboxes, image, models, evaluator, seed."""
    import asyncio

    from evolve.checking.doctor import examine
    from evolve.view.terminal.console import err, out

    def note(message: str) -> None:
        err.print(message, style="dim", markup=False)

    findings = asyncio.run(examine(task_dir, sandbox or "auto", model or (), note, fix))
    if json:
        emit([vars(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {
                "ok": "[green]ok  [/]",
                "warn": "[yellow]warn[/]",
                "fail": "[red]FAIL[/]",
            }
            out.print(f"{mark[finding.state]} ", end="")
            out.print(
                f"{finding.what}{' · ' + finding.fix if finding.fix else ''}",
                markup=False,
            )
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(3)


def prune(
    images: Annotated[
        bool, typer.Option("--images", help="Also remove images that it built.")
    ] = False,
) -> None:
    """Remove containers of engines that have ended; others are never touched."""
    from evolve.sandbox import docker
    from evolve.view.terminal.console import out

    client = docker.connect()
    out.print(f"{docker.prune(client)} containers removed", markup=False)
    if images:
        out.print(f"{docker.prune_images(client)} images removed", markup=False)
    client.close()
