"""Looking at runs: `ls`, `tree`, `show`, `diff`, `best`. They open the archive read-only."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolve.cli.options import Json, RunName, RunsDir, runs_folder

if TYPE_CHECKING:
    from evolve.view.reading import OpenRun

Id = Annotated[str, typer.Argument(help="An id or a unique prefix of it, or 'best'.")]
InRun = Annotated[str, typer.Option("--run", help="A run: name, prefix, path, or 'last'.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for verb in (ls, tree, show, diff, best, checkout):
        app.command()(verb)


@contextmanager
def _opened(runs_dir: Path | None, run: str) -> Iterator[OpenRun]:
    from evolve.run import open_run
    from evolve.view.reading import OpenRun

    opened = OpenRun(open_run(runs_folder(runs_dir), run))
    try:
        yield opened
    finally:
        opened.close()


def _print_json(data: Any) -> None:
    typer.echo(json_module.dumps(data, ensure_ascii=False))


def ls(runs_dir: RunsDir = None, json: Json = False) -> None:
    """List runs, the last used first."""
    from evolve.run import list_runs
    from evolve.view.console import out
    from evolve.view.listing import runs_table

    rows = []
    for path in list_runs(runs_folder(runs_dir)):
        with _opened(path.parent, str(path)) as run:
            rows.append(run.summary())
    if json:
        _print_json(rows)
    else:
        out.print(runs_table(rows))


def tree(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    top: Annotated[int | None, typer.Option(
        min=1, help="Only the best N variants and their ancestors.",
        show_default="all up to 100 variants, else 30")] = None,
    path: Annotated[str | None, typer.Option(help="Only the way from the seed to this id.")] = None,
    depth: Annotated[int | None, typer.Option(min=0, help="Only so many generations.")] = None,
    json: Json = False,
) -> None:
    """The archive as a tree; the way to the best is bold."""
    from evolve.view.console import out
    from evolve.view.tree import Selection, render_tree

    with _opened(runs_dir, run) as opened:
        if json:
            _print_json(opened.variants_data())
            return
        chosen = None if path is None else opened.proposal(path).id
        out.print(render_tree(opened, Selection(top, chosen, depth)))


def show(
    id: Id = "best",
    run: InRun = "last",
    runs_dir: RunsDir = None,
    bandit: Annotated[bool, typer.Option(
        "--bandit", help="Instead: what each operator and model has brought for its cost.")] = False,
    json: Json = False,
) -> None:
    """One proposal: scores per case, what was done, log, cost, why it was kept or not."""
    from evolve.view.bandit import bandit_of, render_bandit
    from evolve.view.console import out
    from evolve.view.detail import render_detail

    with _opened(runs_dir, run) as opened:
        if bandit:
            arms = bandit_of(opened)
            if json:
                _print_json([arm._asdict() for arm in arms])
            else:
                out.print(render_bandit(opened.folder.settings.operator_choice, arms))
            return
        proposal = opened.proposal(id)
        if json:
            _print_json(opened.detail_data(proposal))
        else:
            out.print(render_detail(opened, proposal))


def diff(
    a: Id = "best",
    b: Annotated[str | None, typer.Argument(help="Compared with A.", show_default="its parent")] = None,
    run: InRun = "last",
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """What changed from B (default: the first parent) to A."""
    from evolve.view.console import out
    from evolve.view.detail import render_patch

    with _opened(runs_dir, run) as opened:
        new = opened.proposal(a)
        old = opened.proposal(b) if b is not None else opened.parent_of(new)
        patch = opened.patch(old, new)
        if json:
            _print_json({"old": old.id if old else None, "new": new.id, "patch": patch})
        else:
            out.print(render_patch(patch))


def best(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write its files here.")] = None,
    json: Json = False,
) -> None:
    """The best variant; with -o its files, and the command that scores them again."""
    from evolve.view.console import out
    from evolve.view.detail import render_best

    with _opened(runs_dir, run) as opened:
        proposal = opened.proposal("best")
        written = opened.write_files(proposal, output) if output is not None else []
        if json:
            data = opened.detail_data(proposal)
            _print_json(data | {"files": [str(path) for path in written]})
        else:
            out.print(render_best(opened, proposal, output))


def checkout(
    id: Id,
    folder: Annotated[Path, typer.Argument(help="A new or empty directory.")],
    run: InRun = "last",
    runs_dir: RunsDir = None,
    json: Json = False,
) -> None:
    """Write the files of any variant into a directory."""
    from evolve.view.console import err

    with _opened(runs_dir, run) as opened:
        proposal = opened.proposal(id)
        written = opened.write_files(proposal, folder)
        if json:
            _print_json({"id": proposal.id, "files": [str(path) for path in written]})
        else:
            err.print(f"{proposal.id}: {len(written)} files in {folder}")
