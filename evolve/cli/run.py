"""`evolve run`, `evolve resume` and `evolve replay`."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from evolve.cli.options import (
    Json,
    Quiet,
    RunName,
    RunsDir,
    Sandbox,
    Set,
    TaskDir,
    Trust,
    emit,
    other_settings,
    own_run,
    run_folder,
)
from evolve.text import quoted

if TYPE_CHECKING:
    from evolve.archive import Spend
    from evolve.config import Resolved
    from evolve.runs.folder import RunFolder
    from evolve.runs.launch import RunControl, View
    from evolve.tasks import Task

Workers = Annotated[
    int | None, typer.Option(help="Evaluations at the same time.", show_default="2")
]
MaxVariants = Annotated[
    int | None,
    typer.Option(
        help="Stop after N scored or failed variants; the seed is not counted.",
        show_default="200",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Model that proposes changes: provider/name[@http://address/v1], ollama:NAME, "
        "lmstudio:NAME, llamacpp:NAME, vllm:NAME or cmd:COMMAND; options may follow: "
        "'NAME temperature=none reasoning_effort=low'; repeatable.",
    ),
]
Budget = Annotated[str | None, typer.Option(help="Budget in dollars: 5usd.")]
MaxTokens = Annotated[int | None, typer.Option(help="Budget in tokens.")]
MaxCalls = Annotated[int | None, typer.Option(help="Budget in model calls.")]
Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--price", help="Dollars per million tokens: MODEL=PROMPT/REPLY; repeatable."
    ),
]
Target = Annotated[float | None, typer.Option(help="Stop at this score.")]
Plateau = Annotated[
    int | None, typer.Option(help="Stop after N scored variants without a new best.")
]
MaxTime = Annotated[str | None, typer.Option(help="Stop after this long: 90s, 5m, 2h.")]


app = typer.Typer()


@app.command()
def run(
    task_dir: TaskDir,
    name: Annotated[
        str | None, typer.Option(help="Name of the run.", show_default="made up")
    ] = None,
    runs_dir: RunsDir = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="map_elites, weighted, greedy, beam, power_law, adaevolve, dgm, hgm, random, "
            "best_of_n, or package.module:Class.",
            show_default="map_elites",
        ),
    ] = None,
    sandbox: Sandbox = None,
    workers: Workers = None,
    max_variants: MaxVariants = None,
    max_time: MaxTime = None,
    target: Target = None,
    plateau: Plateau = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of all random draws.", show_default="0")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Deterministic mode, for any number of workers: each decision sees all results "
            "except those of the last N decisions. 0: live.",
            show_default="32 with the scripted model, else 0",
        ),
    ] = None,
    model: Models = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Replies per prompt, each of which gives a child.",
            show_default="1",
        ),
    ] = None,
    embedding: Annotated[
        str | None,
        typer.Option(
            help="Embedding model for novelty: as --model, or transformer:NAME.",
            show_default="token n-grams, no model",
        ),
    ] = None,
    budget: Budget = None,
    max_tokens: MaxTokens = None,
    max_calls: MaxCalls = None,
    price: Prices = None,
    operator: Annotated[
        list[str] | None,
        typer.Option(
            "--operator",
            help="NAME or NAME=WEIGHT; repeatable.",
            show_default="diff=.6 rewrite=.4 with a model, else tune=.85 syntactic=.1 recombine=.05",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show the first prompt and the possible cost; send nothing.",
        ),
    ] = False,
    set_: Set = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Evolve a task: sample parents, change them, score the children, keep them."""
    from evolve.config import resolve
    from evolve.plugins import parse_weights
    from evolve.tasks import load_task

    task = load_task(task_dir)
    flags = _shared_settings(
        sandbox=sandbox,
        workers=workers,
        max_variants=max_variants,
        max_time=max_time,
        model=model,
        budget=budget,
        max_tokens=max_tokens,
        max_calls=max_calls,
        price=price,
    )
    flags |= {
        "runs_dir": runs_dir,
        "policy": policy,
        "seed": seed,
        "window": window,
        "target": target,
        "plateau": plateau,
        "samples": samples,
        "embedding": embedding,
        "operators": parse_weights(operator or ()),
    }
    flags |= other_settings(set_)
    resolved = resolve(flags, task.spec.run, task.folder / "task.toml")
    if dry_run:
        _show_forecast(task, resolved, json)
        return
    begin(task, resolved, name, json, quiet)


def begin(
    task: Task,
    resolved: Resolved,
    name: str | None,
    json: bool,
    quiet: bool = False,
) -> None:
    """Start a run and wait until it ends.

    Args:
        task: its task
        resolved: its settings with their origins
        name: of the run; None for a generated one
        json: report events as JSON lines on stdout
        quiet: print no line per candidate

    Raises:
        Exit: with code 130 if the run was interrupted
    """
    from evolve.runs.launch import start_run

    control = _control(json, quiet)
    _carry_out(start_run(task, resolved, control, name), control)


def _show_forecast(task: Task, resolved: Resolved, json: bool) -> None:
    import asyncio

    from evolve.runs import forecast
    from evolve.view.terminal.console import counted, err, out

    found = asyncio.run(
        forecast.dry_run(task, resolved, lambda line: err.print(line, markup=False))
    )
    if json:
        emit(forecast.as_data(found))
        return
    out.print(found.text, markup=False, highlight=False)
    if found.shown:
        err.print(
            f"\nthe prompt is held to {resolved.settings.prompt_tokens:,} tokens (prompt_tokens): "
            f"{found.shown[0].lower()}{found.shown[1:]}, the rest by names and signatures as "
            "far as they fit; a model can ask for more by name",
            markup=False,
        )
    most = resolved.settings.max_variants
    most_variants = "all variants" if most is None else counted(most, "variant")
    about = (
        ""
        if found.about_usd is None
        else (
            f"; {most_variants} cost about ${found.about_usd:.4f} (later prompts are longer; repairs, "
            "rejected children, notes and judges come on top)"
        )
    )
    limit = (
        "the cost of the run has no limit: set one by --budget"
        if found.run_usd is None
        else (f"the run stops before ${found.run_usd:g}")
    )
    err.print(
        f"\n{found.operator}: {found.prompt_tokens:,} tokens; a call costs at most "
        f"${found.call_usd:.6f}{about}; {limit}",
        markup=False,
    )


@app.command()
def resume(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    sandbox: Sandbox = None,
    workers: Workers = None,
    max_variants: Annotated[
        str | None,
        typer.Option(
            help="Stop after N scored or failed variants, or after +100 more."
        ),
    ] = None,
    max_time: MaxTime = None,
    target: Target = None,
    plateau: Plateau = None,
    model: Models = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Budget in dollars: 5usd, or +5usd in addition to those spent."
        ),
    ] = None,
    max_tokens: Annotated[
        str | None,
        typer.Option(help="Budget in tokens, or +100000 in addition to those used."),
    ] = None,
    max_calls: Annotated[
        str | None,
        typer.Option(help="Budget in model calls, or +100 in addition to those made."),
    ] = None,
    price: Prices = None,
    set_: Set = None,
    quiet: Quiet = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Resume a run that was stopped or killed, from its archive alone."""
    from evolve.config import build_settings
    from evolve.runs.launch import resume_run
    from evolve.trust.choices import commands_in
    from evolve.trust.commands import remember

    folder = own_run(run_folder(runs_dir, run), trust)
    variants, spend = _used(folder, max_variants, budget, max_tokens, max_calls)
    given = _shared_settings(
        sandbox=sandbox,
        workers=workers,
        max_time=max_time,
        model=model,
        price=price,
        max_variants=_count("max-variants", max_variants, variants),
        budget=_dollars(budget, spend.usd),
        max_tokens=_count("max-tokens", max_tokens, spend.tokens),
        max_calls=_count("max-calls", max_calls, spend.calls),
    )
    changes = {
        key: value for key, value in given.items() if value not in (None, (), {})
    }
    changes |= {
        key: value
        for key, value in {"target": target, "plateau": plateau}.items()
        if value is not None
    }
    changes |= other_settings(set_)
    built = build_settings(changes, dict.fromkeys(changes, "flag"))
    remember(commands_in(changes))
    changes = {key: getattr(built, key) for key in changes}
    if built.model_options:
        changes["model_options"] = folder.settings.model_options | built.model_options
    control = _control(json, quiet)
    _carry_out(resume_run(folder, changes, control), control)


@app.command()
def replay(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the new run.", show_default="RUN-replay")
    ] = None,
    sandbox: Sandbox = None,
    workers: Workers = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Repeat a run from its recorded replies, at no cost.

    Exit code 1 if anything differs.
    """
    from evolve.runs.launch import replay_run
    from evolve.view.terminal.console import counted

    folder = own_run(run_folder(runs_dir, run), trust)
    changes = {"sandbox": sandbox, "workers": workers}
    settings = folder.settings.model_copy(
        update={key: value for key, value in changes.items() if value is not None}
    )
    control = _control(json)
    replayed = _carry_out(
        replay_run(folder, name or f"{folder.name}-replay", settings, control), control
    )
    for line in replayed.differences:
        control.view.note(line)
    control.view.note(f"replayed: {counted(len(replayed.differences), 'difference')}")
    if replayed.differences:
        raise typer.Exit(1)


def _used(folder: RunFolder, *limits: str | None) -> tuple[int, Spend]:
    """Return variants and spend so far, if a limit is relative (`+N`)."""
    from evolve.archive import ArchiveReader, Spend, State

    if not any(limit and limit.startswith("+") for limit in limits):
        return 0, Spend()
    with contextlib.closing(ArchiveReader.open(folder.database)) as reader:
        counts = reader.counts()
        return counts.get(State.SCORED, 0) + counts.get(State.FAILED, 0), reader.spend()


def _dollars(text: str | None, used: float) -> str | None:
    """Return a budget; a relative one (`+N`) is added to the dollars spent."""
    from evolve.config import parse_dollars

    if text is None or not text.startswith("+"):
        return text
    return f"{used + parse_dollars(text[1:])}usd"


def _count(flag: str, text: str | None, used: int) -> int | None:
    """Return a limit; a relative one (`+N`) is added to the current number."""
    from evolve.errors import UsageError

    if text is None:
        return None
    if not text.removeprefix("+").isdecimal():
        raise UsageError(
            f"invalid --{flag} {text!r}", f"use --{flag} 300, or +100 for more"
        )
    return int(text) + (used if text.startswith("+") else 0)


def _shared_settings(
    *,
    sandbox: str | None,
    workers: int | None,
    max_variants: int | None,
    max_time: str | None,
    model: list[str] | None,
    budget: str | None,
    max_tokens: int | None,
    max_calls: int | None,
    price: list[str] | None,
) -> dict[str, Any]:
    """Return the settings that `run` and `resume` share, by name."""
    from evolve.config import parse_dollars, parse_duration, parse_prices

    return {
        "sandbox": sandbox,
        "workers": workers,
        "max_variants": max_variants,
        "max_time_s": None if max_time is None else parse_duration(max_time),
        "model": tuple(model or ()),
        "budget_usd": None if budget is None else parse_dollars(budget),
        "max_tokens": max_tokens,
        "max_calls": max_calls,
        "price": parse_prices(price or ()),
    }


def _view(json: bool, quiet: bool) -> View:
    if quiet and not json:
        from evolve.view.terminal.lines import QuietLines

        return QuietLines()
    if json:
        from evolve.view.terminal.lines import JsonView

        return JsonView()
    if sys.stderr.isatty():
        from evolve.view.terminal.live import LiveView

        return LiveView()
    from evolve.view.terminal.lines import LinesView

    return LinesView()


def _control(json: bool, quiet: bool = False) -> RunControl:
    from evolve.engine.control import Interrupt
    from evolve.runs.launch import RunControl

    return RunControl(_view(json, quiet), Interrupt())


_T = TypeVar("_T")


def _carry_out(work: Coroutine[Any, Any, _T], control: RunControl) -> _T:
    """Execute a run: one Ctrl-C drains work in flight, a second stops at once."""
    import asyncio

    from evolve.models import Interrupted

    view, interrupt = control.view, control.interrupt

    async def attended() -> _T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def on_signal() -> None:
            if interrupt.asked:
                task.cancel()
                return
            interrupt.asked = True
            view.note("stopping after all work in flight; Ctrl-C again stops at once")

        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, on_signal)
        return await work

    try:
        outcome = asyncio.run(attended())
    except Interrupted:
        view.note("stopped before the seed was scored; go on: evolve resume")
        raise typer.Exit(130) from None
    except asyncio.CancelledError:
        run = interrupt.file and interrupt.file.parent.name
        view.note(
            f"stopped at once; nothing is lost. Go on: evolve resume {quoted(run)}"
            if run
            else "stopped before there was a run"
        )
        raise typer.Exit(130) from None
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            view.close()
    if interrupt.requested:
        raise typer.Exit(130)
    return outcome
