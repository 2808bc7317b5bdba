"""The runs of a server, found by listing their folder, never by joining paths."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evolve.archive import ArchiveError, NotFound, Readable
from evolve.errors import EvolveError
from evolve.runs.folder import list_runs, open_run
from evolve.runs.reader import OpenRun
from evolve.text import Data
from evolve.view.terminal.status import status_data
from evolve.view.web import pages, payload

MOST_OPEN, MOST_LISTED = 16, 500


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
    """

    def __init__(self, runs_dir: Path, only: str | None = None) -> None:
        self.runs_dir, self.only = runs_dir, only
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
        """Return the state of each run.

        Returns:
            Status data; a run that can't be read has only a name and an error.
        """
        found = []
        for name in list(self.paths())[:MOST_LISTED]:
            try:
                with self.run(name) as shelf:
                    found.append(status_data(shelf.run) | {"error": None})
            except (ArchiveError, EvolveError) as error:
                found.append({"run": name, "error": error.message})
        return found

    def close(self) -> None:
        """Close all databases."""
        for shelf in self._open.values():
            shelf.run.close()
        self._open.clear()


def _tree(run: OpenRun) -> payload.Payload:
    return payload.tree_payload(run, run.browser.variants())


def _curves(run: OpenRun) -> payload.Payload:
    maximize = run.task.spec.maximize
    return payload.curve_payload(run.browser.variants(), maximize) | {
        "maximize": maximize
    }


_MAKERS = {
    "tree": _tree,
    "curves": _curves,
    "map": payload.map_payload,
    "plane": payload.projection_payload,
}
