"""What was known of a variant when something was decided, whatever has been learned of it since."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import select

from evolve.archive.decision import CaseAttempt, Decision, Kind
from evolve.archive.reader import ArchiveReader
from evolve.archive.records import Evaluation, State
from evolve.archive.schema import parents, proposals


class TimedEvaluation(NamedTuple):
    """A row of a variant and the event that added it; 0 where it came with the variant's own score."""

    event: int
    row: Evaluation


def learned_of(archive: ArchiveReader, variant: str) -> list[TimedEvaluation]:
    """The rows of a scored variant, oldest first, each with its event.

    The event of a row is the end of the decision to evaluate that it came from: that is in the archive
    since there are such decisions.
    """
    added = _added(archive, variant)
    return [
        TimedEvaluation(added.get(CaseAttempt(row.case, row.attempt), 0), row)
        for row in archive.evaluations(variant)
    ]


def rows_as_of(event: int, rows: Iterable[TimedEvaluation]) -> list[Evaluation]:
    """The rows that a decision knew which saw the archive up to this event.

    Those of the variant's own score are among them: who chooses a variant has seen it.
    """
    return [learned.row for learned in rows if learned.event <= event]


def _added(archive: ArchiveReader, variant: str) -> dict[CaseAttempt, int]:
    """Map each attempt of what was learned after the variant was scored -> the event."""
    query = (
        select(proposals.c.decision, proposals.c.finished_event)
        .join(parents, parents.c.child == proposals.c.id)
        .where(
            parents.c.parent == variant,
            proposals.c.kind == Kind.EVALUATE.value,
            proposals.c.state == State.EVALUATED.value,
        )
    )
    found = [(Decision.of(json.loads(row[0])), row[1]) for row in archive.rows(query)]
    return {one.evaluates: event for one, event in found if one.evaluates is not None}
