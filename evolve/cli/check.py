"""`evolve check`: attack a task's evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import Json, Sandbox, emit, task_folder

if TYPE_CHECKING:
    from evolve.checking import Report


app = typer.Typer()
_MATTERS = ("PAYS", "accepted")  # shown to a person


@app.command()
def check(
    task_dir: Annotated[
        Path,
        typer.Argument(
            help="A task directory, also of another engine.", callback=task_folder
        ),
    ],
    sandbox: Sandbox = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show all attacks.")
    ] = False,
    json: Json = False,
) -> None:
    """Attack the evaluator and report the cheats that it accepts.

    Exit code 1 if one of them pays.
    """
    import asyncio

    from evolve.checking.check import as_data
    from evolve.checking.check import check as run_check
    from evolve.config import resolve
    from evolve.tasks import load_task
    from evolve.view.terminal.console import note

    task = load_task(task_dir)
    settings = resolve(
        {"sandbox": sandbox}, task.spec.run, task.folder / "task.toml"
    ).settings

    report = asyncio.run(run_check(task, settings.sandbox, note))
    if json:
        emit(as_data(report))
    else:
        _show(report, verbose)
    if report.paying:
        raise typer.Exit(1)


def _show(report: Report, verbose: bool) -> None:
    from rich.text import Text

    from evolve.view.terminal.console import DataTable, number, out

    out.print(
        f"the seed scores {number(report.seed)}, then {number(report.again)}, in "
        f"{report.seconds:.3f} s"
    )
    table = DataTable(
        "attack", "", "score", "result, or how to fix it", whole=("attack", "score")
    )
    styles = {
        "PAYS": "bold red",
        "accepted": "yellow",
        "no effect": "dim",
        "worse": "green",
        "refused": "green",
    }
    shown = [tried for tried in report.tried if verbose or tried.word in _MATTERS]
    for tried in shown:
        what = (
            "; ".join(part for part in (tried.said, tried.attack.fix) if part)
            if tried.pays
            else tried.said
        )
        table.add_row(
            tried.attack.name,
            Text(tried.word, styles[tried.word]),
            "" if tried.score is None else number(tried.score),
            what,
        )
    if shown:
        out.print(table)
    for note in report.notes:
        out.print(f"note: {note}")
    paying = len(report.paying)
    out.print(
        f"{paying} of {len(report.tried)} attacks pay"
        if paying
        else f"none of {len(report.tried)} attacks pays",
        style="bold",
    )
    if len(shown) < len(report.tried):
        out.print("all of them: evolve check -v", style="dim")
