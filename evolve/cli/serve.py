"""`evolve serve`: runs in a browser."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from evolve.cli.options import RunsDir, runs_folder

app = typer.Typer()


@app.command()
def serve(
    what: Annotated[
        str | None,
        typer.Argument(help="A run, or a folder of runs.", show_default="all runs"),
    ] = None,
    runs_dir: RunsDir = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. A browser needs the token in the printed address."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")
    ] = 8321,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A further host name of this server; repeatable."),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            help="Path below which a reverse proxy shows it, such as /evolve.",
            show_default="none",
        ),
    ] = "",
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token", help="Let all users of this machine read it, on loopback."
        ),
    ] = False,
) -> None:
    """Show runs in a browser: live curves, tree, map, variants. It is read-only."""
    from evolve.errors import UsageError
    from evolve.runs.folder import open_run
    from evolve.view.terminal.console import err, out
    from evolve.view.web.library import RunCache
    from evolve.view.web.server import serve_folder

    below = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    if quote(below) != below:
        raise UsageError(
            f"invalid --prefix {prefix!r}", "use letters, digits, '-' and '/'"
        )
    folder, only = runs_folder(runs_dir), None
    if (
        what is not None
        and Path(what).is_dir()
        and not (Path(what) / "run.toml").is_file()
    ):
        folder = Path(what)
    elif what is not None:
        found = open_run(folder, what)
        folder, only = found.path.parent, found.name

    def say(address: str) -> None:
        out.print(address)
        out.file.flush()
        err.print("Ctrl-C stops the server", style="dim")

    serve_folder(
        RunCache(folder, only, below), host, port, tuple(name or ()), say, no_token
    )
