"""A person steps in: `tell`, `ban`, `add`, `fork`, and `apply` to one's own repository."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.browse import Id, InRun, opened
from evolve.cli.options import (
    Json,
    MaybeRun,
    RunName,
    RunsDir,
    Sandbox,
    ThatRun,
    one_run,
    runs_folder,
)

if TYPE_CHECKING:
    from evolve.runs.folder import RunFolder


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    for verb in (tell, ban, add, fork, apply):
        app.command()(verb)


def tell(
    run: MaybeRun = None,
    *,
    hint: Annotated[str, typer.Argument(help="What all prompts say from now on.")],
    that_run: ThatRun = None,
    runs_dir: RunsDir = None,
) -> None:
    """Give a live run a hint: it stands in every prompt of a decision that comes after it."""
    from evolve.engine.control import Inbox
    from evolve.errors import UsageError

    if (
        not run
        and not that_run
        and (runs_folder(runs_dir) / hint / "run.toml").is_file()
    ):
        raise UsageError(
            f"{hint} is a run: what is it to be told?", f'evolve tell {hint} "HINT"'
        )
    if not hint.strip() or len(hint) > 4000:
        raise UsageError("a hint has 1 to 4000 letters", "say it shorter")
    with opened(runs_dir, one_run(run, that_run)) as found:
        Inbox(found.folder.inbox).send("tell", text=hint.strip())
        _say_when(found.folder, "the hint")
        if not found.folder.settings.model:
            _note("this run asks no model, so nobody reads hints")


def ban(
    id: Id,
    run: InRun = "last",
    runs_dir: RunsDir = None,
    why: Annotated[str, typer.Option(help="Kept with it.")] = "",
) -> None:
    """Take a variant out of the search: it is never the best, nor a parent, from now on."""
    from evolve.archive import State
    from evolve.engine.control import Inbox
    from evolve.errors import UsageError

    with opened(runs_dir, run) as found:
        proposal = found.proposal(id)
        if proposal.state is not State.SCORED or proposal.number == 0:
            what = (
                "the seed" if proposal.number == 0 else f"{proposal.state}, not scored"
            )
            raise UsageError(
                f"{proposal.id} can't be banned: it is {what}",
                "choose a scored variant: evolve tree",
            )
        Inbox(found.folder.inbox).send("ban", variant=proposal.id, text=why)
        _say_when(found.folder, f"the ban of {proposal.id}")


def add(
    run: MaybeRun = None,
    *,
    path: Annotated[
        Path, typer.Argument(help="A file in place of the entry, or a whole folder.")
    ],
    that_run: ThatRun = None,
    runs_dir: RunsDir = None,
    parent: Annotated[
        str, typer.Option(help="What it was made from: id, 'best' or 'seed'.")
    ] = "best",
    note: Annotated[
        str, typer.Option(help="What it does differently.")
    ] = "written by a person",
) -> None:
    """Give a run a program of one's own: it is checked and scored like any other."""
    from evolve.engine.control import Inbox
    from evolve.errors import UsageError
    from evolve.operators.person import person_reply
    from evolve.tasks import read_tree

    if not path.exists():
        raise UsageError(f"there is no file or folder {path}")
    with opened(runs_dir, one_run(run, that_run)) as found:
        origin = found.proposal(parent)
        files = (
            read_tree(path)
            if path.is_dir()
            else found.files(origin) | {found.task.entry: path.read_bytes()}
        )
        try:
            texts = {name: content.decode() for name, content in files.items()}
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8 text", "programs are text") from None
        Inbox(found.folder.inbox).send(
            "add", parent=origin.id, text=note, reply=person_reply(texts, note)
        )
        _say_when(found.folder, "the program")


def fork(
    run: RunName = "last",
    *,
    origin: Annotated[
        str, typer.Option("--from", help="The variant to begin with: id or 'best'.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the new run.", show_default="made up")
    ] = None,
    runs_dir: RunsDir = None,
    policy: Annotated[
        str | None, typer.Option(help="Another policy.", show_default="as the run")
    ] = None,
    sandbox: Sandbox = None,
    max_variants: Annotated[
        int | None, typer.Option(help="Stop after so many.", show_default="as the run")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of all random draws.", show_default="as the run"),
    ] = None,
    json: Json = False,
) -> None:
    """Begin a new run whose seed is a variant of another, with its settings."""
    import tempfile

    from evolve.cli.run import begin
    from evolve.config import Resolved
    from evolve.runs.fork import copy_task
    from evolve.tasks import load_task

    changes = {
        "policy": policy,
        "sandbox": sandbox,
        "max_variants": max_variants,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory(prefix="evolve-fork-") as folder:
        with opened(runs_dir, run) as found:
            copy_task(found, found.proposal(origin), Path(folder) / "task")
            settings = found.folder.settings.model_copy(
                update={
                    key: value for key, value in changes.items() if value is not None
                }
            )
        begin(load_task(Path(folder) / "task"), Resolved(settings, {}), name, json)


def apply(
    id: Id = "best",
    run: InRun = "last",
    runs_dir: RunsDir = None,
    repository: Annotated[
        Path, typer.Option("--repository", "-C", help="Your git repository.")
    ] = Path("."),
    to: Annotated[
        str | None,
        typer.Option(
            help="The folder in it that the program belongs to.",
            show_default="the one whose files are those of the run's seed",
        ),
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option(help="Name of the new branch.", show_default="evolve/RUN-ID"),
    ] = None,
    json: Json = False,
) -> None:
    """Put a variant on a new branch of your own repository; your files stay as they are."""
    from evolve.export.branch import apply_variant

    with opened(runs_dir, run) as found:
        done = apply_variant(found, found.proposal(id), repository, to, branch)
    if json:
        typer.echo(json_module.dumps(done._asdict()))
    else:
        _note(
            f"branch {done.branch}, {len(done.paths)} files in {done.folder or '.'}; look: "
            f"git diff HEAD...{done.branch}; take it: git merge {done.branch}"
        )


def _say_when(folder: RunFolder, what: str) -> None:
    if folder.worker() is None:
        _note(
            f"{what} is left for {folder.name}; it is taken at: evolve resume {folder.name}"
        )
    else:
        _note(
            f"{what} is left for {folder.name}; see it taken: evolve log -f {folder.name}"
        )


def _note(message: str) -> None:
    from evolve.view.terminal.console import err

    err.print(message, markup=False)
