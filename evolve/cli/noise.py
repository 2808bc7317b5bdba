"""`evolve noise`: how much equal programs differ here, and what gain can be seen."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolve.cli.options import Json, Sandbox, TaskDir, emit

if TYPE_CHECKING:
    from evolve.checking.noise import NoiseReport
    from evolve.tasks import Task

TIMES_S = (1.0, 5.0, 20.0, 60.0)  # for one variant

app = typer.Typer()


@app.command()
def noise(
    task_dir: TaskDir,
    seconds: Annotated[
        float, typer.Option(min=1.0, help="Time for each case that is not timed.")
    ] = 20.0,
    sandbox: Sandbox = None,
    json: Json = False,
) -> None:
    """Measure how much the seed differs from itself, and the least gain that can be seen.

    Also checks whether this machine is fit for timing, and says what to change.
    """
    import asyncio

    from evolve.checking.noise import measure_noise
    from evolve.config import resolve
    from evolve.tasks import load_task
    from evolve.view.terminal.console import note

    task = load_task(task_dir)
    settings = resolve(
        {"sandbox": sandbox}, task.spec.run, task.folder / "task.toml"
    ).settings
    with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as log:
        report = asyncio.run(
            measure_noise(task, settings.sandbox, seconds, Path(log.name), note)
        )
    if json:
        emit(_as_data(task, report))
    else:
        _show(task, report)


def _as_data(task: Task, report: NoiseReport) -> dict[str, Any]:
    from evolve.checking.noise import detectable

    return {
        "task": task.spec.name,
        "cases": [
            {
                "case": found.case,
                "deviation": found.noise.deviation,
                "seconds": found.noise.unit_s,
                "count": found.noise.count,
                "detectable": {
                    f"{time:g}": gain
                    for time in TIMES_S
                    if (gain := detectable(found, task, time)) != float("inf")
                },
            }
            for found in report.cases
        ],
        "machine": [vars(finding) for finding in report.machine],
    }


def _show(task: Task, report: NoiseReport) -> None:
    from evolve.checking.noise import detectable
    from evolve.view.terminal.console import DataTable, out

    table = DataTable("case", "noise", "each takes")
    for time in TIMES_S:
        table.add_column(f"in {time:g} s", justify="right")
    for found in report.cases:
        gains = [detectable(found, task, time) for time in TIMES_S]
        table.add_row(
            found.case,
            f"{found.noise.deviation:.2%}",
            f"{found.noise.unit_s:.2f} s",
            *("-" if gain == float("inf") else f"{gain:.1%}" for gain in gains),
        )
    out.print(table)
    what = "pairs of processes" if task.spec.timing else "evaluations"
    out.print(
        f"noise: standard deviation between {what} of the seed; then the least gain that is "
        "found in that time for each variant, with a probability of 80 %"
    )
    for finding in report.machine:
        style = "yellow" if finding.state == "warn" else ""
        fix = f" · {finding.fix}" if finding.fix else ""
        out.print(f"{finding.state:4} {finding.what}{fix}", style=style)
