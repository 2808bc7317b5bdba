"""The few figures that a list of runs shows, read with the standard library alone.

Importing SQLAlchemy takes ten times as long as answering. Unusual archives are left to
`ArchiveReader`: those that are missing, damaged or of another version, those with
repeated evaluations, where the best variant is chosen by merit, and those whose attempts
are not averaged.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from evolve.archive.attempts import AGGREGATE_KEY
from evolve.archive.records import PERSON, CallState, State
from evolve.archive.revision import REVISION
from evolve.archive.whole import reading_mode

# candidates for the best: SQL sums in another order, so the last digit of a mean may
# differ from fmean's
_CANDIDATES = 200

_AGGREGATE = "SELECT value FROM meta WHERE key = ?"
_COUNTS = "SELECT state, count(*) FROM proposals WHERE number > 0 GROUP BY state"
_SPEND = """SELECT state IN (?, ?) AS settled, sum(cost_usd), sum(reserved_usd)
            FROM calls WHERE model != ? GROUP BY settled"""
_BEST = """
    SELECT proposals.id, proposals.number FROM (
        SELECT proposal, avg(score) AS mean FROM evaluations
        WHERE split = 'search' AND reason IS NULL GROUP BY proposal, case_id)
    JOIN proposals ON proposals.id = proposal
    WHERE mean IS NOT NULL AND proposals.state = ? AND NOT proposals.quarantined
    GROUP BY proposals.id ORDER BY avg(mean) {order}, proposals.number LIMIT ?"""
_CASES = """SELECT avg(score) FROM evaluations WHERE proposal = ? AND split = 'search'
            AND reason IS NULL AND score IS NOT NULL GROUP BY case_id"""


class Figures(NamedTuple):
    """Key figures of a run.

    Attributes:
        counts: Number of proposals by state, without the seed.
        usd: Dollars spent, with the reservations of calls that are not settled.
        best_id: The best scored variant that is not quarantined, the earliest on ties;
            None for none.
        best_score: Its mean over the cases of the search split.
    """

    counts: Mapping[State, int]
    usd: float
    best_id: str | None
    best_score: float | None


def figures_of(path: Path, maximize: bool) -> Figures | None:
    """Read the figures of an archive.

    Args:
        path: The database file.
        maximize: Whether a higher score is better.

    Returns:
        The figures; None for an archive that only `ArchiveReader` can read.
    """
    try:
        with closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?{reading_mode(path)}", uri=True
            )
        ) as connection:
            return _read(connection, maximize)
    except (sqlite3.Error, ValueError, TypeError):
        return None


def _read(connection: sqlite3.Connection, maximize: bool) -> Figures | None:
    if connection.execute("SELECT version_num FROM alembic_version").fetchone() != (
        REVISION,
    ):
        return None
    if connection.execute(_AGGREGATE, (AGGREGATE_KEY,)).fetchone() is not None:
        return None
    counts = {State(state): count for state, count in connection.execute(_COUNTS)}
    if State.EVALUATED in counts:
        return None
    settled = (CallState.REPLIED.value, CallState.FAILED.value, PERSON)
    usd = sum(
        (
            cost if ended else reserved
            for ended, cost, reserved in connection.execute(_SPEND, settled)
        ),
        0.0,
    )
    return Figures(counts, usd, *_best(connection, maximize))


def _best(
    connection: sqlite3.Connection, maximize: bool
) -> tuple[str | None, float | None]:
    query = _BEST.format(order="DESC" if maximize else "ASC")
    found = []
    for name, number in connection.execute(
        query, (State.SCORED.value, _CANDIDATES)
    ).fetchall():
        score = fmean(mean for (mean,) in connection.execute(_CASES, (name,)))
        found.append((-score if maximize else score, number, name, score))
    if not found:
        return None, None
    *_, name, score = min(found)
    return name, score
