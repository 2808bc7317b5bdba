"""Start and read runs from Python.

run = evolve.run("my_task", policy="beam:width=4", max_variants=50)
run = evolve.open_run("last")
run.best.score, run.best.files["program.py"]
run.variants.to_pandas().plot.scatter("number", "score")
run                                       # in a notebook: a small table
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evolve.archive import Evaluation, NotFound, Readable
from evolve.archive import Variant as Row
from evolve.errors import PrerequisiteError, pip_line
from evolve.text import Note, one_line, visible

if TYPE_CHECKING:
    import pandas

    from evolve.engine.control import Interrupt
    from evolve.runs.reader import OpenRun

_T = TypeVar("_T")
SHOWN = 10  # rows of a notebook's table
FACTS = ("parent", *Row._fields)


class Variant:
    """A proposal with its attributes (`score`, `operator`, ...), files and evaluations.

    Args:
        run: The run.
        row: Its attributes, readable as attributes of the variant.
    """

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
        """Its program: path -> content.

        Raises:
            NotFound: It was rejected, so it has none; see `Run.programs`.
        """
        found = self._run.files(self._run.proposal(self.row.id))
        return {
            path: content.decode(errors="replace") for path, content in found.items()
        }

    @cached_property
    def patch(self) -> str:
        """The unified diff from its first parent."""
        proposal = self._run.proposal(self.row.id)
        return self._run.patch(self._run.parent_of(proposal), proposal)

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Its evaluations, with scores, metrics and feedback, in order of attempts."""
        return self._run.archive.evaluations(self.row.id)

    def __repr__(self) -> str:
        return f"<variant {self.row.id[:8]} #{self.row.number} {self.row.state} {self.row.score!r}>"


class Variants(list[Variant]):
    """All proposals of a run, in decision order.

    Args:
        run: The run.
        rows: The proposals.
    """

    def __init__(self, run: OpenRun, rows: Sequence[Row]) -> None:
        super().__init__(Variant(run, row) for row in rows)
        self._run = run

    def to_pandas(self) -> pandas.DataFrame:
        """Return the proposals as a data frame.

        Returns:
            One row per proposal, indexed by id; times in UTC, and a column
            `measure.NAME` for each measure.

        Raises:
            PrerequisiteError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise PrerequisiteError(
                "pandas is not installed", pip_line("pandas")
            ) from None
        from evolve.view.columns import View, columns_of, row_of

        measures = self._run.browser.measures()
        rows = [
            row_of(row, View.CSV)
            | {
                f"measure.{name}": value
                for name, value in measures.get(row.id, {}).items()
            }
            for row in (variant.row for variant in self)
        ]
        names = None if rows else [column.name for column in columns_of(View.CSV)]
        frame = pandas.DataFrame(rows, columns=names)
        for name in ("created_at", "finished_at"):
            frame[name] = pandas.to_datetime(frame[name], unit="s", utc=True)
        return frame.set_index("id")

    def __repr__(self) -> str:
        return f"<{len(self)} variants>"

    def _repr_html_(self) -> str:
        return _table([variant.row for variant in self[:SHOWN]]) + (
            f"<p>… {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        )


class Run:
    """A run opened for reading, which may be live: `refresh` reads it again.

    Args:
        opened: The open run.
    """

    def __init__(self, opened: OpenRun) -> None:
        self._run = opened

    @property
    def name(self) -> str:
        """Name of the run, which is that of its directory."""
        return self._run.folder.name

    @property
    def path(self) -> Path:
        """Path of the run directory."""
        return self._run.folder.path

    @cached_property
    def variants(self) -> Variants:
        """All proposals, with rejected and unfinished ones, which have no files."""
        with Readable(self._run.folder.database):
            return Variants(self._run, self._run.browser.variants())

    @cached_property
    def programs(self) -> Variants:
        """The proposals that have files: scored, failed, or being evaluated."""
        return Variants(self._run, [v.row for v in self.variants if v.row.passed])

    @property
    def best(self) -> Variant:
        """The best variant that is not quarantined.

        Raises:
            NotFound: No variant is scored.
        """
        with Readable(self._run.folder.database):
            leader = self._run.leader
        if leader is None:
            raise NotFound("no variant is scored yet", "resume the run: evolve resume")
        return Variant(self._run, leader)

    def __getitem__(self, which: str) -> Variant:
        """Return a variant.

        Args:
            which: Id, unique prefix of an id, decision number, "best" or "seed".

        Returns:
            The variant.

        Raises:
            NotFound: No variant matches, or several do.
        """
        with Readable(self._run.folder.database):
            return Variant(self._run, self._run.variant(self._run.proposal(which)))

    def tree(self, top: int | None = None) -> str:
        """Return the tree of variants as text, like `evolve tree`.

        Args:
            top: Show only the best N and their ancestors; None: by the size of the run.

        Returns:
            Lines of at most 160 characters.
        """
        from rich.console import Console

        from evolve.view.terminal.tree import Selection, render_tree

        console = Console(width=160, color_system=None, force_terminal=False)
        with console.capture() as caught:
            console.print(render_tree(self._run, Selection(top)))
        return caught.get()

    def refresh(self) -> None:
        """Drop all cached results, so that a live run is read again."""
        self._run.forget()
        for name in ("variants", "programs"):
            self.__dict__.pop(name, None)

    def close(self) -> None:
        """Close the database."""
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


def run(
    task: str | Path,
    *,
    name: str | None = None,
    note: Note = logging.getLogger("evolve").info,
    **settings: Any,
) -> Run:
    """Evolve a task and return the finished run.

    Works in a script and in a notebook. Ctrl-C finishes what is in flight, then raises
    `KeyboardInterrupt`; `evolve resume` continues such a run.

    Args:
        task: Path of the task directory.
        name: Name of the run; None for a generated one.
        note: Called with messages about the run.
        settings: Any setting of the reference by name, such as `policy="beam:width=4"`,
            `model="openai/gpt-5-mini"`, `max_variants=50`, `sandbox="local"`. They come
            before the environment, the task's [run] and the user's file.

    Returns:
        The run, open for reading.

    Raises:
        ConfigError: A setting does not exist or does not fit.
        TaskError: The task directory is not valid.
        EvolveError: The run can't go on.
    """
    from evolve.config import resolve
    from evolve.engine.control import Interrupt
    from evolve.runs.launch import QuietView, RunControl, start_run
    from evolve.tasks import load_task

    found = load_task(Path(task))
    resolved = resolve(_as_flags(settings), found.spec.run, found.folder / "task.toml")
    control = RunControl(QuietView(note), Interrupt())
    outcome = _in_a_thread(start_run(found, resolved, control, name), control.interrupt)
    return open_run(outcome.run.path)


def _as_flags(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with a single model or operator as a list of one."""
    from evolve.plugins import parse_weights

    flags = dict(settings)
    if isinstance(flags.get("model"), str):
        flags["model"] = (flags["model"],)
    operators = flags.get("operators")
    if operators is not None and not isinstance(operators, Mapping):
        texts = [operators] if isinstance(operators, str) else operators
        flags["operators"] = parse_weights(texts)
    return flags


def _in_a_thread(work: Coroutine[Any, Any, _T], interrupt: Interrupt) -> _T:
    """Carry out a run in a thread with an event loop of its own: a notebook has one already."""
    import asyncio

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(asyncio.run, work)
        try:
            return done.result()
        except KeyboardInterrupt:
            interrupt.asked = True
            done.result()
            raise


def open_run(which: str | Path = "last", runs_dir: str | Path | None = None) -> Run:
    """Open a run for reading.

    Args:
        which: Name, unique prefix of a name, path, or "last".
        runs_dir: Directory of all runs; None: `EVOLVE_RUNS_DIR`, else `runs`.

    Returns:
        The run; close it, or use it as a context manager.

    Raises:
        UsageError: No run matches, or several do.
    """
    import os

    from evolve.runs import folder as run_folder
    from evolve.runs.reader import OpenRun

    folder = Path(runs_dir or os.environ.get("EVOLVE_RUNS_DIR", "runs"))
    found = run_folder.open_run(folder, str(which))
    with Readable(found.database):
        return Run(OpenRun(found))


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
