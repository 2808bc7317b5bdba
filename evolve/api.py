"""Runs for people who work in Python: `from evolve import open_run`.

run = open_run("last")
run.best.score, run.best.files["program.py"]
run.variants.to_pandas().plot.scatter("number", "score")
run                                       # in a notebook: a small table
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from evolve.archive import Evaluation, NotFound
from evolve.archive import Variant as Row
from evolve.errors import PrerequisiteError
from evolve.text import one_line, visible

if TYPE_CHECKING:
    import pandas

    from evolve.runs.reader import OpenRun

SHOWN = 10  # rows of a notebook's table
FACTS = ("parent", *Row._fields)


class Variant:
    """One proposal with its facts (`score`, `operator`, `parent`, ...), files and evaluations."""

    def __init__(self, run: OpenRun, row: Row) -> None:
        self._run, self.row = run, row

    def __getattr__(self, name: str) -> Any:
        if name in FACTS:
            return getattr(self.row, name)
        raise AttributeError(
            f"a variant has no {name!r}; it has files, patch, evaluations, "
            + ", ".join(FACTS)
        )

    @cached_property
    def files(self) -> dict[str, str]:
        """Its program, by path."""
        found = self._run.files(self._run.proposal(self.row.id))
        return {
            path: content.decode(errors="replace") for path, content in found.items()
        }

    @cached_property
    def patch(self) -> str:
        """What changed against its parent."""
        proposal = self._run.proposal(self.row.id)
        return self._run.patch(self._run.parent_of(proposal), proposal)

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """What the scorer said, attempt by attempt."""
        return self._run.archive.evaluations(self.row.id)

    def __repr__(self) -> str:
        return f"<variant {self.row.id[:8]} #{self.row.number} {self.row.state} {self.row.score!r}>"


class Variants(Sequence[Variant]):
    """All proposals of a run, in the order of its decisions."""

    def __init__(self, run: OpenRun, rows: Sequence[Row]) -> None:
        self._run, self._rows = run, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Variant]:
        return (Variant(self._run, row) for row in self._rows)

    @overload
    def __getitem__(self, which: int) -> Variant: ...

    @overload
    def __getitem__(self, which: slice) -> Variants: ...

    def __getitem__(self, which: int | slice) -> Variant | Variants:
        if isinstance(which, slice):
            return Variants(self._run, self._rows[which])
        return Variant(self._run, self._rows[which])

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each, by id, measures in columns of their own. Raises `PrerequisiteError`."""
        try:
            import pandas
        except ImportError:
            raise PrerequisiteError(
                "pandas is not installed", "pip install pandas"
            ) from None
        from evolve.view.columns import View, columns_of, row_of

        measures = self._run.browser.measures()
        rows = [
            row_of(row, View.CSV)
            | {
                f"measure.{name}": value
                for name, value in measures.get(row.id, {}).items()
            }
            for row in self._rows
        ]
        names = None if rows else [column.name for column in columns_of(View.CSV)]
        frame = pandas.DataFrame(rows, columns=names)
        for name in ("created_at", "finished_at"):
            frame[name] = pandas.to_datetime(frame[name], unit="s", utc=True)
        return frame.set_index("id")

    def __repr__(self) -> str:
        return f"<{len(self)} variants>"

    def _repr_html_(self) -> str:
        return _table(self._rows[:SHOWN]) + (
            f"<p>… {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        )


class Run:
    """A run, opened for reading: a live one goes on beside it, and `refresh` reads it anew."""

    def __init__(self, opened: OpenRun) -> None:
        self._run = opened

    @property
    def name(self) -> str:
        return self._run.folder.name

    @property
    def path(self) -> Path:
        return self._run.folder.path

    @cached_property
    def variants(self) -> Variants:
        """Every proposal, rejected ones included."""
        return Variants(self._run, self._run.browser.variants())

    @property
    def best(self) -> Variant:
        """The best that is not quarantined. Raises `NotFound`."""
        leader = self._run.leader
        if leader is None:
            raise NotFound("no variant is scored yet", "resume the run: evolve resume")
        return Variant(self._run, leader)

    def __getitem__(self, which: str) -> Variant:
        """By id, unique prefix, "best" or "seed". Raises `NotFound`."""
        return Variant(self._run, self._run.variant(self._run.proposal(which)))

    def tree(self, top: int | None = None) -> str:
        """The archive as text, as `evolve tree` has it."""
        from rich.console import Console

        from evolve.view.terminal.tree import Selection, render_tree

        console = Console(width=160, color_system=None, force_terminal=False)
        with console.capture() as caught:
            console.print(render_tree(self._run, Selection(top)))
        return caught.get()

    def refresh(self) -> None:
        """Forget what was read."""
        self._run.forget()
        self.__dict__.pop("variants", None)

    def close(self) -> None:
        """Give the database back."""
        self._run.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        leader = self._run.leader
        return (
            f"<run {self.name} on {self._run.folder.task_name}: {self._run.count} variants, "
            f"best {leader.score if leader else None!r}>"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{_table(self._run.best(SHOWN))}"


def open_run(which: str | Path = "last", runs_dir: str | Path | None = None) -> Run:
    """A run by name, prefix, path or "last". Raises `UsageError`."""
    import os

    from evolve.runs import folder as run_folder
    from evolve.runs.reader import OpenRun

    folder = Path(runs_dir or os.environ.get("EVOLVE_RUNS_DIR", "runs"))
    return Run(OpenRun(run_folder.open_run(folder, str(which))))


def _table(variants: Sequence[Row]) -> str:
    names = ("number", "id", "score", "improvement", "operator", "note")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(visible(one_line(getattr(variant, name), 60)))}</td>"
            for name in names
        )
        + "</tr>"
        for variant in variants
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
