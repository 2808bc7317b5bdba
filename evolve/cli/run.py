"""`evolve run` and `evolve resume`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolve.cli.options import Json, RunName, RunsDir, Sandbox, runs_folder

if TYPE_CHECKING:
    from evolve.engine import Interrupt
    from evolve.launch import Outcome, View

TaskDir = Annotated[Path, typer.Argument(help="A task directory.")]
Workers = Annotated[int | None, typer.Option(help="Evaluations at the same time.",
                                             show_default="2")]
MaxVariants = Annotated[int | None, typer.Option(
    help="Stop after so many scored or failed variants; the seed is not counted.",
    show_default="200")]
MaxTime = Annotated[str | None, typer.Option(help="Stop after this long: 90s, 5m, 2h.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.command()(run)
    app.command()(resume)


def run(
    task_dir: TaskDir,
    name: Annotated[str | None, typer.Option(help="Name of the run.", show_default="made up")] = None,
    runs_dir: RunsDir = None,
    policy: Annotated[str | None, typer.Option(
        help="weighted, best_of_n, random, or package.module:Class.",
        show_default="weighted")] = None,
    sandbox: Sandbox = None,
    workers: Workers = None,
    max_variants: MaxVariants = None,
    max_time: MaxTime = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random draws.",
                                             show_default="0")] = None,
    json: Json = False,
) -> None:
    """Evolve a task: sample parents, change them, score the children, keep them all."""
    from evolve.config import parse_duration, resolve
    from evolve.launch import start_run
    from evolve.tasks import load_task

    task = load_task(task_dir)
    flags = {"runs_dir": runs_dir, "policy": policy, "sandbox": sandbox, "workers": workers,
             "max_variants": max_variants, "seed": seed,
             "max_time_s": None if max_time is None else parse_duration(max_time)}
    resolved = resolve(flags, task.spec.run, task.folder / "task.toml")
    view, interrupt = _view(json), _interrupt()
    _carry_out(start_run(task, resolved, name, view, interrupt), view, interrupt)


def resume(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    sandbox: Sandbox = None,
    workers: Workers = None,
    max_variants: MaxVariants = None,
    max_time: MaxTime = None,
    json: Json = False,
) -> None:
    """Go on with a run that was stopped or killed, from its archive alone."""
    from evolve.config import parse_duration
    from evolve.launch import resume_run
    from evolve.run import open_run

    folder = open_run(runs_folder(runs_dir), run)
    changes: dict[str, Any] = {
        "sandbox": sandbox, "workers": workers, "max_variants": max_variants,
        "max_time_s": None if max_time is None else parse_duration(max_time)}
    changes = {key: value for key, value in changes.items() if value is not None}
    view, interrupt = _view(json), _interrupt()
    _carry_out(resume_run(folder, changes, view, interrupt), view, interrupt)


def _view(json: bool) -> View:
    if json:
        from evolve.view.lines import JsonView

        return JsonView()
    if sys.stderr.isatty():
        from evolve.view.live import LiveView

        return LiveView()
    from evolve.view.lines import LinesView

    return LinesView()


def _interrupt() -> Interrupt:
    from evolve.engine import Interrupt

    return Interrupt()


def _carry_out(work: Coroutine[Any, Any, Outcome], view: View, interrupt: Interrupt) -> None:
    """Run it: Ctrl-C once drains what is in flight, twice stops at once."""
    async def attended() -> Outcome:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def on_signal() -> None:
            if interrupt.requested:
                task.cancel()
                return
            interrupt.requested = True
            view.note("stopping: what is in flight is finished first; Ctrl-C again stops at once")

        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, on_signal)
        return await work

    try:
        outcome = asyncio.run(attended())
    except asyncio.CancelledError:
        view.note("stopped at once; nothing is lost. Go on: evolve resume")
        raise typer.Exit(130) from None
    finally:
        close = getattr(view, "close", None)
        if close is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                close()
    if outcome.interrupted:
        raise typer.Exit(130)
