"""The runs of a server, found by listing their folder, never by joining paths."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from evolve.archive import ArchiveError, NotFound, Readable
from evolve.errors import EvolveError
from evolve.runs.folder import list_runs, open_run
from evolve.runs.reader import OpenRun
from evolve.text import Data, told_apart
from evolve.view.terminal.status import status_data
from evolve.view.web import pages, payload

MOST_OPEN = 16


Stamp = tuple[tuple[int, int], ...]  # time of change and size of the files of a run


@dataclass
class CachedRun:
    """An open run for one reader at a time, with results computed at some event.

    Attributes:
        run: the open run
        guard: held while the run is read
        made: name -> (event, payload)
        event: the last event seen
        overview: (event, values of the first page)
    """

    run: OpenRun
    guard: threading.RLock = field(default_factory=threading.RLock)
    made: dict[str, tuple[int, payload.Payload]] = field(default_factory=dict)
    event: int = -1
    overview: tuple[int, Data] = (-2, {})

    def first_page(self) -> Data:
        """Return the values of the overview.

        Returns:
            Cached until the next event, unless a process is running the run.
        """
        event, known = self.overview
        if event != self.event or self.run.folder.worker() is not None:
            known = pages.overview(self.run)
            self.overview = self.event, known
        return known

    def refresh(self) -> None:
        """Forget computed results if there are new events."""
        event = self.run.archive.last_event()
        if event != self.event:
            self.event = event
            self.run.forget()

    def payload(self, name: str) -> payload.Payload:
        """Return columns for the scripts, computed again after new events.

        Args:
            name: "tree", "curves", "map" or "plane"

        Returns:
            The columns.
        """
        if name not in _MAKERS:
            raise NotFound("unknown data")
        known = self.made.get(name)
        if known is None or known[0] != self.event:
            known = self.made[name] = (self.event, _MAKERS[name](self.run))
        return known[1]


class RunCache:
    """Open runs of a folder, or a single run.

    Args:
        runs_dir: folder of the runs
        only: name of the only run to show; None for all
        prefix: path below which a reverse proxy shows the pages
    """

    def __init__(
        self, runs_dir: Path, only: str | None = None, prefix: str = ""
    ) -> None:
        self.runs_dir, self.only, self.prefix = runs_dir, only, prefix
        self._rows: dict[str, tuple[Stamp, Data]] = {}
        self._open: OrderedDict[str, CachedRun] = OrderedDict()
        self._guard = threading.Lock()

    def paths(self) -> dict[str, Path]:
        """Return the folders of the runs.

        Returns:
            Name -> folder, most recently used first.
        """
        found = {path.name: path for path in list_runs(self.runs_dir)}
        return (
            found
            if self.only is None
            else {n: p for n, p in found.items() if n == self.only}
        )

    @contextmanager
    def run(self, name: str) -> Iterator[CachedRun]:
        """Open a run for one reader.

        Args:
            name: of the run

        Yields:
            The run, refreshed.

        Raises:
            NotFound: unknown name
        """
        path = self.paths().get(name)
        if path is None:
            raise NotFound("unknown run", "look at the list of runs")
        with Readable(path / "archive.db"):
            with self._guard:
                shelf = self._open.pop(name, None) or CachedRun(
                    OpenRun(open_run(self.runs_dir, str(path)))
                )
                self._open[name] = shelf
                while len(self._open) > MOST_OPEN:
                    self._open.popitem(last=False)[1].run.close()
            with shelf.guard:
                shelf.refresh()
                yield shelf

    def rows(self) -> list[Data]:
        """Return the state of each run; those without changes are not read again.

        Returns:
            Figures by name; a run that can't be read has only a name and an error.
        """
        return [self._row(name, path) for name, path in self.paths().items()]

    def _row(self, name: str, path: Path) -> Data:
        stamp = _stamp(path)
        known = self._rows.get(name)
        if known is None or known[0] != stamp or known[1].get("state") == "running":
            known = self._rows[name] = stamp, self._read_row(name)
        return known[1]

    def _read_row(self, name: str) -> Data:
        try:
            with self.run(name) as shelf:
                return status_data(shelf.run) | _comparable(shelf.run)
        except (ArchiveError, EvolveError) as error:
            return {"run": name, "error": error.message}

    def close(self) -> None:
        """Close all databases."""
        for shelf in self._open.values():
            shelf.run.close()
        self._open.clear()


def _tree(run: OpenRun) -> payload.Payload:
    return payload.tree_payload(run, run.browser.variants())


def _stamp(path: Path) -> Stamp:
    found = []
    for name in ("run.toml", "lock", "archive.db", "archive.db-wal"):
        with suppress(OSError):
            status = (path / name).stat()
            found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)


def _comparable(run: OpenRun) -> Data:
    """Return further figures for the list of runs."""
    best, seed = run.leader, pages.seed_score(run)
    return {
        "error": None,
        "used": run.archive.last_event_at(),
        "model": ", ".join(use.model for use in pages.models_of(run)),
        "gain": pages.gain_of(run),
        "shown": told_apart(best.score if best else None, seed)[0],
    }


_MAKERS = {
    "tree": _tree,
    "curves": pages.curves,
    "map": payload.map_payload,
    "plane": payload.projection_payload,
}
