"""`evolve verify` and `evolve compare`: check a score, compare runs."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import (
    Json,
    RunName,
    RunsDir,
    Sandbox,
    Trust,
    emit,
    opened,
    own_run,
    runs_folder,
)

if TYPE_CHECKING:
    from evolve.runs.compare import Row
    from evolve.runs.verify import Verified
    from evolve.view.terminal.console import DataTable


app = typer.Typer()


@app.command()
def verify(
    run: RunName = "last",
    id: Annotated[
        str, typer.Option(help="A variant to use instead of the best.")
    ] = "best",
    runs_dir: RunsDir = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0, help="Accepted difference, as a share of the score, for noise."
        ),
    ] = 0.0,
    heldout: Annotated[
        bool,
        typer.Option(
            "--heldout/--no-heldout",
            help="Also the held-out cases; this look is recorded.",
        ),
    ] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Allow it for one more variant.")
    ] = False,
    sandbox: Sandbox = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Score the best variant again, in a fresh sandbox, on every case.

    Held-out cases are included. Exit code 1 if it fails, or if a score differs from the
    recorded one.
    """
    import asyncio

    from evolve.runs.verify import Place, check_evaluator
    from evolve.runs.verify import verify as check
    from evolve.safety import record_look
    from evolve.tasks import load_task
    from evolve.view.terminal.console import note

    with (
        opened(runs_dir, run) as found,
        tempfile.NamedTemporaryFile(suffix=".log") as log,
    ):
        proposal = found.proposal(id)
        known = found.archive.evaluations(proposal.id)
        task = load_task(found.folder.path / "task")
        check_evaluator(task, proposal, known)
        own_run(found.folder, trust)
        heldout = heldout and bool(task.spec.cases_of("heldout"))

        def look() -> None:
            if heldout and record_look(found.folder, proposal.id, again):
                note(
                    f"this is a look at the held-out cases, for {proposal.id}: it is recorded"
                )

        rows = asyncio.run(
            check(
                found.folder,
                task,
                found.files(proposal),
                known,
                Place(sandbox or found.folder.settings.sandbox, Path(log.name), note),
                heldout,
                look,
            )
        )
    holds = all(row.holds(tolerance) for row in rows)
    if json:
        emit(
            {
                "id": proposal.id,
                "holds": holds,
                "cases": [row.data(tolerance) for row in rows],
            }
        )
    else:
        _show_verified(proposal.id, rows, tolerance)
    if not holds:
        raise typer.Exit(1)


def _show_verified(id: str, rows: list[Verified], tolerance: float) -> None:
    from evolve.view.terminal.console import counted, number, out

    for row in rows:
        failed = row.failed
        score = (
            f"{failed.reason}: {failed.message}"
            if failed is not None
            else number(row.after)
        )
        if row.timed and failed is None:
            now = row.now[0].metrics
            low, high = now["ratio_low"], now["ratio_high"]
            score += f" ({low:.3f} to {high:.3f}, {now['pairs']} pairs)"
        elif len(row.now) > 1:
            score += f" ({row.aggregate} of {len(row.now)})"
        if row.seed is not None:
            score += f", the seed {number(row.seed)}"
        if not row.recorded:
            said = "no score is recorded"
        else:
            same = failed is None and row.after == row.before
            said = "as recorded" if same else f"recorded: {number(row.before)}"
        out.print(
            f"{row.case} ({row.split}): {score}, {said}",
            style="" if row.holds(tolerance) else "red",
        )
    held = sum(row.holds(tolerance) for row in rows)
    verb = "holds" if len(rows) == 1 else "hold"
    out.print(f"{id}: {held} of {counted(len(rows), 'case')} {verb}", style="bold")


@app.command()
def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs: names, prefixes or paths.", show_default="the last two"
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="variants, calls or dollars.")] = "variants",
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Compare runs at equal effort: mean and spread over seeds.

    Runs that differ only in their seed form one row.
    """
    from evolve.errors import UsageError, did_you_mean
    from evolve.runs import compare

    if by not in compare.BY:
        raise UsageError(f"invalid --by {by!r}", did_you_mean(by, compare.BY))
    courses = []
    for name in runs or _last_two(runs_dir):
        with opened(runs_dir, name) as found:
            if found.folder.replay_of is not None:
                raise UsageError(
                    f"{found.folder.name} is a replay, without new information",
                    f"compare the run itself: {found.folder.replay_of}",
                )
            courses.append(compare.course_of(found, by))
    rows, _ = compare.compare(courses)
    if json:
        emit(
            [
                row._asdict() | {"shares": [share._asdict() for share in row.shares]}
                for row in rows
            ]
        )
    else:
        _show_compared(rows, by)


def _last_two(runs_dir: Path | None) -> list[str]:
    from evolve.errors import ConfigError, UsageError
    from evolve.runs.folder import list_runs, open_run

    folder = runs_folder(runs_dir)
    found: list[str] = []
    for path in list_runs(folder):
        with suppress(UsageError, ConfigError):  # a damaged run can't be compared
            run = open_run(folder, str(path))
            # a replay adds no information
            found += [str(path)] if run.replay_of is None else []
    found = found[:2]
    if len(found) < 2:
        raise UsageError(
            "fewer than two runs to compare", "name them: evolve compare A B"
        )
    return found


def _show_compared(rows: list[Row], by: str) -> None:
    from evolve.view.terminal.console import DataTable, err, out

    def short(value: float | None) -> str:
        return "-" if value is None else f"{value:.6g}"

    effort = rows[0].effort if rows else 0.0
    err.print(f"best so far, each after {effort:g} {by}", style="dim")
    table = DataTable(
        "task · policy · models",
        "mean",
        "spread",
        "seeds",
        "runs",
        whole=("mean", "spread", "seeds"),
        right=("mean", "spread", "seeds"),
    )
    for row in rows:
        figures = (short(row.mean), short(row.spread), str(row.seeds))
        table.add_row(row.group, *figures, " ".join(row.runs))
    out.print(table)
    for row in rows:
        if len(row.shares) > 1:
            out.print(_shares(row))


def _shares(row: Row) -> DataTable:
    """Return the table of the models of a group that asked several."""
    from evolve.view.terminal.console import DataTable

    figures = ("calls", "scored", "improved")
    names = ("model", *figures, "runs")
    table = DataTable(*names, whole=figures, right=figures)
    for share in row.shares:
        table.add_row(share.model, *map(str, share[1:]), " ".join(row.runs))
    return table
