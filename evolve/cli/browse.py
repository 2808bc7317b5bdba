"""Inspecting runs: `ls`, `tree`, `show`, `diff`, `best`, `checkout`.

They open the archive read-only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import Json, RunName, RunsDir, emit, opened, runs_folder

if TYPE_CHECKING:
    from evolve.runs.reader import OpenRun

Id = Annotated[
    str, typer.Argument(help="An id or a unique prefix of it, a number, or 'best'.")
]
InRun = Annotated[
    str, typer.Option("--run", help="A run: name, prefix, path, or 'last'.")
]


app = typer.Typer()


def _say_which(run: str, found: OpenRun) -> None:
    """Print the name of the run if the command did not name it."""
    from evolve.view.terminal.console import err

    if run == "last":
        err.print(f"run {found.folder.name}", style="dim")


@app.command()
def ls(runs_dir: RunsDir = None, json: Json = False) -> None:
    """List runs, most recently used first."""
    from evolve.archive import ArchiveError, Readable
    from evolve.errors import EvolveError
    from evolve.runs.folder import list_runs, open_run
    from evolve.runs.summary import summary_of

    rows = []
    for path in list_runs(runs_folder(runs_dir)):
        try:
            with Readable(path / "archive.db"):
                rows.append(summary_of(open_run(path.parent, str(path))))
        except (EvolveError, ArchiveError) as error:  # the others can still be listed
            rows.append({"run": path.name, "path": str(path), "damaged": error.message})
    if json:
        emit(rows)
    else:
        from evolve.view.terminal.console import out
        from evolve.view.terminal.listing import runs_table

        out.print(runs_table(rows))


@app.command()
def tree(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only the best N variants and their ancestors.",
            show_default="all up to 100 variants, else 30",
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Only the path from the seed to this id.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Only the first N generations.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only variants from the last 90s, 5m or 2h of the run."),
    ] = None,
    island: Annotated[
        list[int] | None, typer.Option(help="Only this island; repeatable.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="scored, failed, best, improved, quarantined, or a reason; repeatable."
        ),
    ] = None,
    operator: Annotated[
        list[str] | None, typer.Option(help="Only by this operator; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the archive as a tree; the path to the best is bold."""
    from evolve.config import parse_duration
    from evolve.view.data import variants_data
    from evolve.view.terminal.console import out
    from evolve.view.terminal.tree import Selection, render_tree

    with opened(runs_dir, run) as found:
        if json:
            emit(variants_data(found))
            return
        chosen = None if path is None else found.proposal(path).id
        since_s = None if since is None else parse_duration(since)
        out.print(
            render_tree(
                found,
                Selection(
                    top,
                    chosen,
                    depth,
                    since_s,
                    tuple(island or ()),
                    tuple(status or ()),
                    tuple(operator or ()),
                ),
            )
        )
        if found.confirmed is not None:
            out.print(found.confirmed)


@app.command()
def show(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[run] [id]",
            help="An id, a prefix of it, a number, or 'best'; put a run before it to choose the run.",
            show_default="best",
        ),
    ] = None,
    run: InRun = "last",
    runs_dir: RunsDir = None,
    bandit: Annotated[
        bool,
        typer.Option(
            "--bandit", help="Show gain and cost of each operator and model instead."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show a proposal: scores per case, change, log, cost, and its verdict."""
    from evolve.view.data import detail_data
    from evolve.view.terminal.bandit import bandit_of, render_bandit
    from evolve.view.terminal.console import out
    from evolve.view.terminal.detail import render_detail

    run, id = _run_and_id(what or [], run)
    with opened(runs_dir, run) as found:
        if bandit:
            arms = bandit_of(found)
            if json:
                emit([arm._asdict() for arm in arms])
            else:
                _say_which(run, found)
                out.print(render_bandit(found.folder.settings.operator_choice, arms))
            return
        proposal = found.proposal(id)
        if json:
            emit(detail_data(found, proposal))
        else:
            _say_which(run, found)
            out.print(render_detail(found, proposal))


def _run_and_id(what: list[str], run: str) -> tuple[str, str]:
    """Return the run and the variant that `show RUN ID` or `show ID` names."""
    from evolve.errors import UsageError

    if len(what) > 2 or (len(what) == 2 and run != "last"):
        raise UsageError(
            f"one variant at a time, not {' '.join(what)}",
            "use evolve show ID, evolve show RUN ID or evolve show ID --run RUN",
        )
    return (what[0] if len(what) == 2 else run), (what[-1] if what else "best")


@app.command()
def diff(
    a: Id = "best",
    b: Annotated[
        str | None,
        typer.Argument(
            help="Base of the comparison: an id, 'seed' or 'best'.",
            show_default="its parent",
        ),
    ] = None,
    run: InRun = "last",
    runs_dir: RunsDir = None,
    stat: Annotated[
        bool, typer.Option("--stat", help="Only the number of changed lines per file.")
    ] = False,
    pager: Annotated[
        bool, typer.Option("--pager/--no-pager", help="Use a pager for a long diff.")
    ] = True,
    json: Json = False,
) -> None:
    """Show the changes from B (default: the first parent) to A."""
    from evolve.view.diff import changes, stat_lines
    from evolve.view.terminal.console import out, paged
    from evolve.view.terminal.detail import render_patch

    with opened(runs_dir, run) as found:
        new = found.proposal(a)
        old = found.proposal(b) if b is not None else found.parent_of(new)
        differing = changes(found.files(old), found.files(new))
        if json:
            emit(
                {
                    "old": old.id if old else None,
                    "new": new.id,
                    "patch": found.patch(old, new),
                    "files": [
                        {
                            "path": c.path,
                            "status": c.status,
                            "added": c.added,
                            "removed": c.removed,
                        }
                        for c in differing
                    ],
                }
            )
        elif stat:
            for line in stat_lines(differing):
                out.print(line)
        else:
            paged(render_patch(found.patch(old, new)), pager)


@app.command()
def best(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write its files here.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the best variant; with -o, write its files.

    The command that scores them again is shown, too.
    """
    from evolve.view.data import detail_data
    from evolve.view.terminal.console import out
    from evolve.view.terminal.detail import render_best

    with opened(runs_dir, run) as found:
        proposal = found.proposal("best")
        written = found.write_files(proposal, output) if output is not None else []
        if json:
            data = detail_data(found, proposal)
            emit(data | {"files": [str(path) for path in written]})
        else:
            _say_which(run, found)
            out.print(render_best(found, proposal, output))


@app.command()
def checkout(
    id: Id,
    folder: Annotated[
        Path | None,
        typer.Argument(help="A new or empty directory.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The same, as for best.", show_default=False
        ),
    ] = None,
    run: InRun = "last",
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Write the files of any variant into a directory."""
    from evolve.errors import UsageError
    from evolve.view.terminal.console import counted, err

    target = folder or output
    if target is None or (folder and output):
        raise UsageError("name one folder to write to", f"evolve checkout {id} FOLDER")
    with opened(runs_dir, run) as found:
        proposal = found.proposal(id)
        written = found.write_files(proposal, target)
        if json:
            emit({"id": proposal.id, "files": [str(path) for path in written]})
        else:
            err.print(f"{proposal.id}: {counted(len(written), 'file')} in {target}")
