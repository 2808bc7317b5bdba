"""Steering by a person: `tell`, `ban`, `add`, `fork`; `apply` to a repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.browse import Id, InRun
from evolve.cli.options import (
    Json,
    MaybeRun,
    RunName,
    RunsDir,
    Sandbox,
    ThatRun,
    Trust,
    emit,
    one_run,
    opened,
    own_run,
    runs_folder,
)
from evolve.text import quoted

if TYPE_CHECKING:
    from evolve.runs.folder import RunFolder


app = typer.Typer()


@app.command()
def tell(
    run: MaybeRun = None,
    *,
    hint: Annotated[str, typer.Argument(help="Text for all prompts from now on.")],
    that_run: ThatRun = None,
    runs_dir: RunsDir = None,
) -> None:
    """Give a live run a hint that appears in the prompts of all later decisions."""
    from evolve.engine.control import Inbox
    from evolve.errors import UsageError

    if (
        not run
        and not that_run
        and (runs_folder(runs_dir) / hint / "run.toml").is_file()
    ):
        raise UsageError(
            f"{hint} is a run: the hint is missing",
            f'use evolve tell {quoted(hint)} "HINT"',
        )
    if not hint.strip() or len(hint) > 4000:
        raise UsageError("invalid hint: use 1 to 4000 characters")
    with opened(runs_dir, one_run(run, that_run)) as found:
        Inbox(found.folder.inbox).send("tell", text=hint.strip())
        _say_when(found.folder, "the hint")
        if not found.folder.settings.model:
            _note("this run asks no model, so hints have no effect")


@app.command()
def ban(
    id: Id,
    run: InRun = "last",
    runs_dir: RunsDir = None,
    why: Annotated[str, typer.Option(help="Reason, stored with the ban.")] = "",
) -> None:
    """Exclude a variant: from now on it is never the best, nor a parent."""
    from evolve.archive import State
    from evolve.errors import UsageError
    from evolve.runs.ban import ban_variant

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
        if ban_variant(found.folder, proposal.id, why):
            _note(f"{proposal.id} is banned from {found.folder.name}")
        else:
            _say_when(found.folder, f"the ban of {proposal.id}")


@app.command()
def add(
    run: MaybeRun = None,
    *,
    path: Annotated[
        Path, typer.Argument(help="A file that replaces the entry, or a whole folder.")
    ],
    that_run: ThatRun = None,
    runs_dir: RunsDir = None,
    parent: Annotated[
        str, typer.Option(help="Its parent: an id, 'best' or 'seed'.")
    ] = "best",
    note: Annotated[
        str, typer.Option(help="Description of the change.")
    ] = "written by a person",
) -> None:
    """Add your own program to a run: it is checked and scored like any other."""
    from evolve.engine.control import Inbox
    from evolve.errors import UsageError
    from evolve.operators.person import person_reply
    from evolve.tasks import read_tree

    if not path.exists():
        raise UsageError(f"{path} does not exist", "use a file or a folder")
    with opened(runs_dir, one_run(run, that_run)) as found:
        origin = found.proposal(parent)
        files = (
            read_tree(path)
            if path.is_dir()
            else found.files(origin) | {found.task.entry: path.read_bytes()}
        )
        try:
            files = found.task.marked(files)
            texts = {name: content.decode() for name, content in files.items()}
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8 text", "programs are text") from None
        Inbox(found.folder.inbox).send(
            "add", parent=origin.id, text=note, reply=person_reply(texts, note)
        )
        _say_when(found.folder, "the program", "it is scored first, at any limit, by")


@app.command()
def fork(
    run: RunName = "last",
    *,
    origin: Annotated[
        str, typer.Option("--from", help="The variant to start from: id or 'best'.")
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
        int | None,
        typer.Option(help="Stop after N variants.", show_default="as the run"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of all random draws.", show_default="as the run"),
    ] = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Start a new run from a variant of another run, with its settings."""
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
            own_run(found.folder, trust)
            copy_task(found, found.proposal(origin), Path(folder) / "task")
            settings = found.folder.settings.model_copy(
                update={
                    key: value for key, value in changes.items() if value is not None
                }
            )
        begin(load_task(Path(folder) / "task"), Resolved(settings, {}), name, json)


@app.command()
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
            help="Folder of the program in the repository.",
            show_default="the folder with the files of the run's seed",
        ),
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option(help="Name of the new branch.", show_default="evolve/RUN-ID"),
    ] = None,
    json: Json = False,
) -> None:
    """Put a variant on a new branch of your repository; your files stay unchanged."""
    from evolve.export.branch import apply_variant

    with opened(runs_dir, run) as found:
        done = apply_variant(found, found.proposal(id), repository, to, branch)
    if json:
        emit(done._asdict())
    else:
        _note(
            f"branch {done.branch}, {len(done.paths)} files in {done.folder or '.'}; show it: "
            f"git diff HEAD...{done.branch}; merge it: git merge {done.branch}"
        )


def _say_when(folder: RunFolder, what: str, when: str = "it takes effect at") -> None:
    if folder.worker() is None:
        _note(f"{what} waits for {folder.name}; {when}: evolve resume {folder.quoted}")
    else:
        _note(f"{what} is sent to {folder.name}; watch: evolve log -f {folder.quoted}")


def _note(message: str) -> None:
    from evolve.view.terminal.console import err

    err.print(message)
