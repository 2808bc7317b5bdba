"""`evolve status`, `stop`, `upgrade` and `rescue`: control from outside."""

import time
from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import Json, RunName, RunsDir, emit, opened, run_folder

app = typer.Typer()


@app.command()
def status(run: RunName = "last", runs_dir: RunsDir = None, json: Json = False) -> None:
    """Show the state of a run: running or not, in flight, best, spend, rate."""
    from evolve.view.terminal.console import out
    from evolve.view.terminal.status import status_data, status_lines

    with opened(runs_dir, run) as found:
        data = status_data(found)
    if json:
        emit(data)
        return
    for line in status_lines(data):
        out.print(line, highlight=False)


@app.command()
def stop(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it stops.")] = False,
) -> None:
    """Ask a run to finish calls and evaluations in flight and stop, like one Ctrl-C."""
    from evolve.errors import UsageError
    from evolve.view.terminal.console import err

    folder = run_folder(runs_dir, run)
    if folder.worker() is None:
        raise UsageError(
            f"{folder.name} is not running", f"go on: evolve resume {folder.quoted}"
        )
    folder.ask_to_stop()
    err.print(
        f"{folder.name} stops after all work in flight; go on: evolve resume "
        f"{folder.quoted}"
    )
    while wait and folder.worker() is not None:
        time.sleep(0.2)


@app.command()
def rescue(
    run: Annotated[
        str, typer.Argument(help="A damaged run: its name, a prefix, or a path.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the new run.")
    ],
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Save all that is readable of a damaged run into a new one, which opens."""
    from evolve.cli.options import runs_folder
    from evolve.runs.rescue import rescue_run
    from evolve.text import quoted
    from evolve.view.terminal.console import err, out

    saved = rescue_run(runs_folder(runs_dir), run, output)
    if json:
        emit({name: found._asdict() for name, found in saved.items()})
        return
    for name, found in saved.items():
        lost = f", at least {found.lost:,} lost" if found.lost else ""
        out.print(f"{name:<12} {found.saved:,} rows saved{lost}")
    err.print(f"look: evolve tree {quoted(output)} · evolve best {quoted(output)}")


@app.command()
def upgrade(run: RunName = "last", runs_dir: RunsDir = None) -> None:
    """Upgrade the archive of a run to the newest schema, as resuming it does."""
    from evolve.archive import Archive
    from evolve.view.terminal.console import err

    folder = run_folder(runs_dir, run)
    with folder.lock():
        Archive.open_to_write(folder.database).close()
    err.print(f"{folder.name} has the newest schema")
