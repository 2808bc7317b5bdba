"""`evolve init`, `evolve import`, `evolve eval`: the inner loop of writing a task."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolve.cli.options import Json, Sandbox, TaskDir, emit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evolve.config import Settings
    from evolve.evaluation.evaluator import Verdict
    from evolve.tasks import CaseSpec, Task


app = typer.Typer()


@app.command()
def init(
    name: Annotated[
        str, typer.Argument(help="Folder to create; its name is the task's name.")
    ],
    kind: Annotated[
        str,
        typer.Option(help="score: by a function evaluate; speed: a function's time."),
    ] = "score",
    language: Annotated[
        str,
        typer.Option(
            help="python, c, cpp, java, rust, go, javascript or r; its compiler is copied "
            "from this machine."
        ),
    ] = "python",
) -> None:
    """Write a task that is ready to run, to be replaced with your own."""
    from typing import get_args

    from evolve.errors import UsageError, did_you_mean
    from evolve.tasks.languages import LANGUAGES
    from evolve.tasks.template import TaskKind, write_template
    from evolve.view.terminal.console import out

    if not name.strip():
        raise UsageError("a task needs a name", "for example: evolve init my_task")
    kinds: dict[str, TaskKind] = {known: known for known in get_args(TaskKind)}
    if kind not in kinds:
        raise UsageError(f"invalid kind {kind!r}", did_you_mean(kind, list(kinds)))
    languages = ["python", *LANGUAGES]
    if language not in languages:
        raise UsageError(
            f"invalid language {language!r}", did_you_mean(language, languages)
        )
    if kind != "score" and language != "python":
        raise UsageError(
            f"--kind {kind} is for Python", "leave out --language, or --kind"
        )
    folder = Path(name)
    try:
        written = write_template(folder, kinds[kind], language)
    except FileExistsError:
        raise UsageError(f"{folder} exists already", "choose another name") from None
    for path in written:
        out.print(str(path))
    named = quote(str(folder))
    out.print(f"next: evolve eval {named} · evolve run {named}")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A task directory of another engine.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The new folder.", show_default="NAME-task"
        ),
    ] = None,
) -> None:
    """Convert another engine's task; its evaluator is kept unchanged."""
    from evolve.tasks.importing import import_task
    from evolve.view.terminal.console import err, out

    imported = import_task(source, output or Path(f"{source.resolve().name}-task"))
    for line in imported.warnings:
        err.print(f"warning: {line}", style="yellow")
    folder = imported.task.folder
    out.print(f"{folder}/task.toml")
    named = quote(str(folder))
    out.print(f"next: evolve eval {named} · evolve check {named} · evolve run {named}")


@app.command("eval")
def evaluate(
    task_dir: TaskDir,
    path: Annotated[
        Path | None,
        typer.Argument(help="A file or folder to score.", show_default="the seed"),
    ] = None,
    split: Annotated[
        str, typer.Option(help="search, select, heldout or all.")
    ] = "search",
    case: Annotated[
        list[str] | None,
        typer.Option(
            "--case",
            help="Only this case; repeatable.",
            show_default="all of the split",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", help="Model of an agent: provider/name[@http://address/v1]."
        ),
    ] = None,
    sandbox: Sandbox = None,
    json: Json = False,
) -> None:
    """Score a program once, without a model, or an agent with one.

    Exit code 1 if it fails.
    """
    import asyncio

    from evolve.config import resolve
    from evolve.tasks import load_task

    task = load_task(task_dir)
    settings = resolve(
        {"sandbox": sandbox, "model": tuple(model or ())},
        task.spec.run,
        task.folder / "task.toml",
    ).settings
    files = dict(task.seed) if path is None else _files_of(task, path)
    verdict, printed = asyncio.run(
        _score(task, files, lambda whole: _cases(whole, split, case or ()), settings)
    )
    if json:
        emit(_as_data(task, verdict, printed))
    else:
        _show(task, verdict, printed)
    if verdict.failed is not None:
        raise typer.Exit(1)


def _cases(task: Task, split: str, named: Sequence[str]) -> tuple[CaseSpec, ...]:
    from evolve.errors import UsageError, did_you_mean

    cases = tuple(
        c for c in task.spec.cases if split in (c.split, "all") or c.id in named
    )
    if unknown := set(named) - {c.id for c in cases}:
        raise UsageError(
            f"{task.spec.name} has no case {min(unknown)!r}",
            did_you_mean(min(unknown), [c.id for c in task.spec.cases]),
        )
    if named:
        return tuple(c for c in cases if c.id in named)
    if not cases:
        raise UsageError(
            f"{task.spec.name} has no case of split {split!r}",
            "choose search, select, heldout or all",
        )
    return cases


def _files_of(task: Task, path: Path) -> dict[str, bytes]:
    """Return the files of a folder, or the seed with the entry replaced by a file."""
    from evolve.errors import UsageError
    from evolve.tasks import read_tree

    if not path.exists():
        raise UsageError(f"{path} does not exist", "use a file or a folder")
    if path.is_dir():
        return read_tree(path)
    return dict(task.seed) | {task.entry: path.read_bytes()}


async def _score(
    task: Task,
    files: dict[str, bytes],
    choose: Callable[[Task], tuple[CaseSpec, ...]],
    settings: Settings,
) -> tuple[Verdict, str]:
    import tempfile

    from evolve.runs.evaluator import open_evaluator
    from evolve.runs.one_off import alone
    from evolve.runs.waiting import counting_cases
    from evolve.view.terminal.console import note

    with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as log:
        async with (
            open_evaluator(
                task, settings.sandbox, 1, Path(log.name), note
            ) as evaluator,
            alone(evaluator, settings, note) as proposal,
        ):
            evaluator.hides_inputs = False  # a person reads this, no model
            cases = choose(evaluator.task)
            async with counting_cases(evaluator, "it", len(cases)):
                verdict = await evaluator.evaluate(files, cases, 0, proposal)
        return verdict, Path(log.name).read_text(errors="replace")[-4000:]


_SHOWN = (
    "case",
    "split",
    "score",
    "metrics",
    "feedback",
    "reason",
    "message",
    "log",
    "seconds",
    "cpu_s",
    "peak_memory_bytes",
)


def _as_data(task: Task, verdict: Verdict, printed: str) -> dict[str, Any]:
    rows = [{name: getattr(row, name) for name in _SHOWN} for row in verdict.rows]
    return {
        "task": task.spec.name,
        "score": None if verdict.failed else verdict.score,
        "cases": rows,
        "scorer_log": printed,
    }


def _show(task: Task, verdict: Verdict, printed: str) -> None:
    from evolve.runs.evaluator import missing_package
    from evolve.search.setup import unmeasured
    from evolve.view.terminal.console import err, number, out
    from evolve.view.terminal.lines import gap_to_best_known

    for row in verdict.rows:
        what = (
            number(row.score) if row.reason is None else f"{row.reason}: {row.message}"
        )
        out.print(f"{row.case} ({row.split}): {what}")
        for key, value in row.metrics.items():
            out.print(f"  {key} = {value}")
        if row.feedback:
            out.print(f"  {row.feedback}")
        out.print(
            f"  {row.seconds:.3f} s, {row.cpu_s:.3f} s of CPU, "
            f"{row.peak_memory_bytes / 1e6:.0f} MB",
            style="dim",
        )
        if row.log.strip():
            out.print(row.log.rstrip(), style="dim")
    if printed.strip():
        out.print(f"the scorer printed:\n{printed.rstrip()}", style="dim")
    if verdict.failed is not None and (advice := missing_package(verdict.failed)):
        err.print(advice)
    if verdict.failed is None:
        if advice := unmeasured(task, verdict.rows):
            err.print(f"warning: {advice}", style="yellow")
        if task.above_ceiling(verdict.score):
            err.print(
                f"warning: better than the ceiling of {task.spec.ceiling!r}: it would be "
                "quarantined",
                style="yellow",
            )
        gap = (
            gap_to_best_known(task, verdict.score)
            if {row.split for row in verdict.rows} == {"search"}
            else ""
        )
        out.print(f"score {number(verdict.score)}{gap}", style="bold")
