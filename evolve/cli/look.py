"""Further views of runs: `log`, `watch`, `stats`, `plot`, `rm`, and `config show`."""

from __future__ import annotations

import json as json_module
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import (
    Json,
    RunName,
    RunsDir,
    emit,
    opened,
    run_folder,
    task_folder,
)

if TYPE_CHECKING:
    from rich.text import Text

    from evolve.runs.events import RunEvent


app = typer.Typer()
settings = typer.Typer(no_args_is_help=True, help="Settings of runs and their origins.")
app.add_typer(settings, name="config")


@app.command()
def log(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends.")
    ] = False,
    all: Annotated[
        bool, typer.Option("--all", help="Also every state and every call.")
    ] = False,
    last: Annotated[
        int | None,
        typer.Option(
            "--last", "-n", min=0, help="Only the last N lines.", show_default="all"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show the events of a run, one per line; with -f, also new ones."""
    from collections import deque

    from evolve.runs.events import events_after
    from evolve.runs.events import follow as followed
    from evolve.view.terminal.console import out
    from evolve.view.terminal.log import log_line

    def line_of(event: RunEvent) -> Text | str | None:
        return json_module.dumps(event.data()) if json else log_line(event, all)

    def show(line: Text | str) -> None:
        if isinstance(line, str):
            typer.echo(line)
        else:
            out.print(line)

    with opened(runs_dir, run) as found:
        event, kept = 0, deque["Text | str"](maxlen=last)
        while batch := events_after(found.archive, event):
            event = batch[-1].id
            kept.extend(line for e in batch if (line := line_of(e)) is not None)
        for line in kept:
            show(line)
        over = (lambda: found.folder.worker() is None) if follow else (lambda: True)
        for news in followed(found.archive, event, over):
            for e in news:
                if (said := line_of(e)) is not None:
                    show(said)


@app.command()
def watch(run: RunName = "last", runs_dir: RunsDir = None) -> None:
    """Show a live view of a run in another process; Ctrl-C does not stop the run.

    If the output is not a terminal, this is `evolve log -f`.
    """
    from rich.live import Live

    from evolve.runs.events import follow
    from evolve.view.terminal.console import out
    from evolve.view.terminal.log import Watched

    if not out.is_terminal:
        log(run, runs_dir, follow=True)
        return
    with opened(runs_dir, run) as found:
        view = Watched(found)
        since = max(0, found.archive.last_event() - 60)
        with Live(console=out, get_renderable=view.draw, refresh_per_second=2) as live:
            for batch in follow(
                found.archive, since, lambda: found.folder.worker() is None
            ):
                view.take(batch)
            live.refresh()


@app.command()
def stats(run: RunName = "last", runs_dir: RunsDir = None, json: Json = False) -> None:
    """Show results by operator and model, rejections, spend, scorer and diversity."""
    from evolve.view.terminal.console import out
    from evolve.view.terminal.stats import render_stats, stats_data

    with opened(runs_dir, run) as found:
        data = stats_data(found)
    if json:
        emit(data)
    else:
        out.print(render_stats(data))


@app.command()
def plot(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    over: Annotated[str, typer.Option(help="variants, cost or time.")] = "variants",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write a picture instead: .png, .svg or .pdf."
        ),
    ] = None,
    height: Annotated[
        int, typer.Option(min=6, max=200, help="Most improvements to list.")
    ] = 20,
    json: Json = False,
) -> None:
    """List improvements of the best score, or plot all scores as a picture."""
    from evolve.errors import UsageError, did_you_mean
    from evolve.view.terminal.console import err, out
    from evolve.view.terminal.plot import AXES, improvements_table, picture_plot
    from evolve.view.web.pages import curves

    if over not in AXES:
        raise UsageError(f"invalid --over {over!r}", did_you_mean(over, AXES))
    with opened(runs_dir, run) as found:
        data, maximize = curves(found), found.task.spec.maximize
        title = f"{found.folder.name} · {found.folder.task_name}"
    if json:
        emit(data)
    elif output is not None:
        picture_plot(data, over, maximize, title, output)
        err.print(f"written: {output}")
    else:
        out.print(title, style="bold")
        out.print(improvements_table(data, over, height))


@app.command()
def rm(
    run: Annotated[str, typer.Argument(help="A run: its name, a prefix or a path.")],
    runs_dir: RunsDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run with all its data. A running one is refused."""
    from evolve.errors import UsageError
    from evolve.runs.big_files import remove_unused
    from evolve.view.terminal.console import err

    if run == "last":
        raise UsageError(
            "invalid run 'last': it might not be the one you mean",
            "use its name: evolve ls",
        )
    folder = run_folder(runs_dir, run)
    if yes and folder.name != run and Path(run).resolve() != folder.path:
        raise UsageError(
            f"{run!r} is only a prefix of {folder.name}",
            f"use the whole name with --yes: evolve rm {folder.quoted} --yes",
        )
    # lock before asking: a running one is refused whatever the answer is
    with folder.lock():
        if not yes:
            typer.confirm(
                f"delete {folder.path} and all its variants?", abort=True, err=True
            )
        shutil.rmtree(folder.path)
    remove_unused(folder.path.parent)
    err.print(f"{folder.name} is deleted")


@settings.command("show")
def config_show(
    task_dir: Annotated[
        Path | None,
        typer.Argument(
            help="A task, to include the settings of its task.toml.",
            show_default="none",
            callback=task_folder,
        ),
    ] = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Show the origin of each value.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the settings that a run started now would have."""
    from evolve.config import Settings, resolve
    from evolve.tasks import load_task
    from evolve.view.terminal.console import out

    task = load_task(task_dir) if task_dir is not None else None
    resolved = resolve(
        {},
        task.spec.run if task else {},
        (task.folder if task else Path()) / "task.toml",
    )
    values = resolved.settings.model_dump(mode="json")
    if json:
        emit(
            {
                key: {"value": value, "origin": resolved.origins[key]}
                for key, value in values.items()
            }
        )
        return
    for key, value in values.items():
        where = f"  ({resolved.origins[key]})" if origin else ""
        out.print(f"{key} = {json_module.dumps(value)}{where}")
        if origin:
            out.print(f"    {Settings.model_fields[key].description}", style="dim")
