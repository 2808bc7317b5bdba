"""`evolve export`: write a run to files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from evolve.cli.options import RunName, RunsDir, opened

if TYPE_CHECKING:
    from evolve.runs.reader import OpenRun


app = typer.Typer()


@app.command()
def export(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    html: Annotated[
        Path | None, typer.Option(help="A page with everything, without a server.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="A table; '-' is stdout.")] = None,
    jsonl: Annotated[
        Path | None, typer.Option(help="JSON lines, all texts; '-' is stdout.")
    ] = None,
    git: Annotated[
        Path | None,
        typer.Option(help="A new repository: the lineage of the best, and best.patch."),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(
            help="sft or dpo: prompts with better children, as JSON lines (to --output)."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for --training.")
    ] = Path("-"),
    report: Annotated[
        Path | None, typer.Option(help="A new folder: markdown with plots.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that exist.")
    ] = False,
) -> None:
    """Write a run to files: a page, tables, git, training data, a report.

    Several options may be given at once.
    """
    from evolve.errors import UsageError

    if not any((html, csv, jsonl, git, training, report)):
        raise UsageError(
            "nothing to export",
            "use one of --html FILE, --csv FILE, --jsonl FILE, "
            "--git DIR, --training sft, --report DIR",
        )
    if training is not None:
        from evolve.export.training import check_form

        check_form(training)
    for path in (html, csv, jsonl, output if training else None):
        if path is not None:
            _check_target(path, force)
    with opened(runs_dir, run) as found:
        _tables(found, csv, jsonl, training, output)
        if html is not None:
            from evolve.export.page import render_page
            from evolve.view.terminal.console import err, now_and_then

            with err.status("packing") as status:
                tell = status.update if err.is_terminal else now_and_then(_say)
                text = render_page(found, tell)
            _write(html, lambda file: _put(file, text))
            _say(f"{html}: {len(text.encode()) / 1e6:.1f} MB")
        if git is not None:
            from evolve.export.lineage import write_lineage

            count = write_lineage(found, found.proposal("best"), git)
            _say(f"{git}: branch best with {count} commits, and best.patch")
        if report is not None:
            from evolve.errors import pip_line
            from evolve.export.report import write_report
            from evolve.view.terminal.plot import can_draw

            if not can_draw():
                _say(f"without pictures, as matplotlib is missing: {pip_line('plot')}")
            for path in write_report(found, report):
                _say(str(path))


def _tables(
    run: OpenRun,
    csv: Path | None,
    jsonl: Path | None,
    training: str | None,
    output: Path,
) -> None:
    from evolve.export.tables import write_csv, write_jsonl
    from evolve.export.training import write_training

    if csv is not None:
        _say(f"{csv}: {_write(csv, lambda file: write_csv(run, file))} rows")
    if jsonl is not None:
        _say(f"{jsonl}: {_write(jsonl, lambda file: write_jsonl(run, file))} proposals")
    if training is not None:
        _say(
            f"{output}: {_write(output, lambda file: write_training(run, training, file))} examples"
        )


def _check_target(path: Path, force: bool) -> None:
    """Refuse a directory, and a file that would be overwritten.

    Raises:
        UsageError: The path can't be written, or exists.
    """
    from evolve.errors import UsageError

    if str(path) == "-":
        return
    if path.is_dir() or not path.name:
        raise UsageError(f"{path} is a folder", "name a file")
    if path.exists() and not force:
        raise UsageError(
            f"{path} exists already", "replace it with --force, or name another file"
        )


def _write(path: Path, fill: Callable[[TextIO], int]) -> int:
    """Write a file completely or not at all; '-' is stdout."""
    from evolve.errors import UsageError

    if str(path) == "-":
        return fill(sys.stdout)
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8", errors="replace", newline="") as file:
            count = fill(file)
        fresh.replace(path)
    except OSError as error:
        raise UsageError(
            f"can't write {path}: {error.strerror}", "choose another place"
        ) from None
    return count


def _put(file: TextIO, text: str) -> int:
    file.write(text)
    return len(text)


def _say(message: str) -> None:
    from evolve.view.terminal.console import err

    err.print(message)
