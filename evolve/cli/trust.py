"""`evolve trust`: accept a task or a run that somebody else wrote."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def trust(
    path: Annotated[Path, typer.Argument(help="A task directory, or that of a run.")],
) -> None:
    """Accept a task or a run as it is now; any later change of it asks again.

    A task may then choose what only you may choose: the sandbox, plugins, models and their
    addresses. A run may be resumed, replayed and verified.
    """
    from evolve.runs.folder import open_run
    from evolve.runs.signature import wishes_of
    from evolve.view.terminal.console import err

    if (path / "run.toml").is_file():
        run = open_run(path.parent, str(path))
        for wish in wishes_of(run):
            err.print(f"  {wish}")
        run.sign()
    else:
        _accept_task(path)
    err.print(f"{path} is trusted as it is now")


def _accept_task(path: Path) -> None:
    from evolve.tasks import load_task
    from evolve.tasks.accepted import accept
    from evolve.tasks.wishes import wishes_of
    from evolve.trust.choices import user_choices
    from evolve.view.terminal.console import err

    task = load_task(path)
    chosen = [
        f"[run] {key} = {task.spec.run[key]!r}" for key in user_choices(task.spec.run)
    ]
    for wish in [*wishes_of(task), *chosen]:
        err.print(f"  {wish}")
    accept(task.folder)
