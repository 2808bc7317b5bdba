"""The time that engines worked on a run, without the pauses between a stop and a resume."""

import time
from typing import NamedTuple

from sqlalchemy import func, select

from evolve.archive import ArchiveReader
from evolve.archive.schema import events


class Period(NamedTuple):
    """A time in which an engine worked, in seconds since the epoch."""

    begin: float
    end: float


class WorkingTime:
    """Maps moments to seconds of work.

    Args:
        periods: In the order of time, without overlap.
    """

    def __init__(self, periods: list[Period]) -> None:
        self._periods = periods

    @property
    def total(self) -> float:
        """Seconds of work in all periods."""
        return sum(period.end - period.begin for period in self._periods)

    def until(self, moment: float) -> float:
        """Return the seconds of work up to a moment, in seconds since the epoch."""
        return sum(
            max(0.0, min(moment, period.end) - period.begin) for period in self._periods
        )


def working_time(archive: ArchiveReader, live: bool) -> WorkingTime:
    """Read the periods of work from the events of a run.

    An engine that was killed noted no end: its period ends with its last event.

    Args:
        archive: The archive of the run.
        live: Whether an engine works on it now.

    Returns:
        The periods.
    """
    begins = [(e.id, e.at) for e in archive.events(kinds=("started",))]
    stops = {e.id: e.at for e in archive.events(kinds=("stopped",))}
    first = archive.rows(select(func.min(events.c.id), func.min(events.c.at)))[0]
    if first[0] is None:
        return WorkingTime([])
    if not begins:
        begins = [tuple(first)]
    else:
        begins[0] = tuple(first)  # the seed is scored before the note
    ends = [number for number, _ in begins[1:]] + [archive.last_event() + 1]
    periods = []
    for (number, at), following in zip(begins, ends, strict=True):
        within = [stop for stop in stops if number <= stop < following]
        last = stops[within[0]] if within else _last_before(archive, following, at)
        periods.append(Period(at, max(at, last)))
    if live and periods:
        periods[-1] = Period(periods[-1].begin, time.time())
    return WorkingTime(periods)


def _last_before(archive: ArchiveReader, event: int, default: float) -> float:
    query = select(func.max(events.c.at)).where(events.c.id < event)
    return next((row[0] for row in archive.rows(query) if row[0]), default)
