"""As-of queries on evaluations: the rows of a variant that were known at a decision."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import select

from evolve.archive.decision import CaseAttempt, Decision, Kind
from evolve.archive.reader import ArchiveReader
from evolve.archive.records import Evaluation, State
from evolve.archive.schema import p, parents


class TimedEvaluation(NamedTuple):
    """An evaluation and the event that added it; 0 for the variant's own score."""

    event: int
    row: Evaluation


def learned_of(archive: ArchiveReader, variant: str) -> list[TimedEvaluation]:
    """Return the evaluations of a scored variant, each with its event.

    The event is the end of the decision to evaluate that added the row; rows of the
    variant's own score have event 0.

    Args:
        archive: The archive to read.
        variant: Id of the variant.

    Returns:
        The rows, oldest first.
    """
    query = (
        select(p.decision, p.finished_event)
        .join(parents, parents.c.child == p.id)
        .where(
            parents.c.parent == variant,
            p.kind == Kind.EVALUATE,
            p.state == State.EVALUATED,
        )
    )
    found = [(Decision.of(json.loads(row[0])), row[1]) for row in archive.rows(query)]
    added = {one.evaluates: event for one, event in found if one.evaluates is not None}
    return [
        TimedEvaluation(added.get(CaseAttempt(row.case, row.attempt), 0), row)
        for row in archive.evaluations(variant)
    ]


def rows_as_of(event: int, rows: Iterable[TimedEvaluation]) -> list[Evaluation]:
    """Return the rows known to a decision that saw the archive up to `event`.

    Rows of the variant's own score (event 0) are always among them: a decision that
    chooses a variant has seen its score.

    Args:
        event: Id of the last event that the decision saw.
        rows: As `learned_of` returns them.

    Returns:
        The rows in the given order.
    """
    return [learned.row for learned in rows if learned.event <= event]
