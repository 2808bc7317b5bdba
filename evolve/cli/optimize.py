"""`evolve optimize`: from a function of a repository to a task."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from evolve.cli.options import Sandbox

app = typer.Typer()
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(context_settings=_PASSED_ON)
def optimize(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            help="path/module.py:function, package.module:Class.method, a class, a file, or a "
            "folder: with --bench, its slow functions are listed."
        ),
    ],
    test: Annotated[
        str | None,
        typer.Option(
            help='Tests that must pass: "pytest -q tests/test_x.py"; "": none.',
            show_default="test files that name the function",
        ),
    ] = None,
    bench: Annotated[
        str | None,
        typer.Option(help='A program that calls it: "python bench.py".'),
    ] = None,
    bench_call: Annotated[
        str | None,
        typer.Option(help="Python that calls it, with the names of its module."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The task's folder.", show_default="FUNCTION-task"
        ),
    ] = None,
    start: Annotated[
        bool,
        typer.Option(
            "--run", help="Start a run; other options go to it, such as --model."
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="With a folder: take its slowest function."),
    ] = False,
    sandbox: Sandbox = None,
) -> None:
    """Write a task that makes a function of your repository faster.

    Its calls are recorded in a sandbox while its tests run. Your repository is not changed.
    """
    import asyncio

    from evolve.cli.verbs import verbs_of
    from evolve.errors import UsageError
    from evolve.repository.optimize import Wanted, hot_functions, listed, write_task_for
    from evolve.view.terminal.console import note, out

    if context.args and not start:
        raise UsageError(
            f"unknown option {context.args[0]!r}",
            "options of `evolve run` need --run; see: evolve optimize --help",
        )
    box = sandbox or "auto"
    if Path(target).is_dir() and bench:
        found = asyncio.run(hot_functions(Path(target), bench, box, note))
        for line in listed(found):
            out.print(line)
        slowest = next((one for one in found if one.recorded), None)
        if slowest is None or not yes:
            next_one = f"evolve optimize {found[0].title} --bench {quote(bench)}"
            out.print(f"next: {next_one}, or the same with --yes")
            return
        target = slowest.title
    wanted = Wanted(target, test, bench, bench_call)
    making = write_task_for(wanted, Path.cwd(), output, box, note)
    folder, assumptions = asyncio.run(making)
    for line in assumptions:
        out.print(line)
    out.print(f"written: {folder}/task.toml, evaluate.py, initial/")
    named = quote(str(folder))
    if not start:
        out.print(f"next: evolve eval {named} · evolve run {named} --model NAME")
        return
    chosen = ["--sandbox", sandbox] if sandbox else []
    verbs_of("run")["run"].main(
        [str(folder), *chosen, *context.args], "evolve run", standalone_mode=False
    )
