"""Evidence for changing an agent, in one of four forms that the proposal's generator chooses.

All of it is feedback of search cases, what agents printed, and notes: what a case keeps hidden (its
tests, its params, other splits) is in none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evolve.archive import Evaluation
from evolve.operators.context import Attempt, Context, Parent

SEVERAL = 4  # cases of one variant
GOOD = 1.0  # a case of this score leaves nothing to wish


@dataclass(frozen=True)
class Shown:
    """The form, and what is shown: cases with whose they are, and earlier attempts."""

    form: str  # "failure", "cases", "two variants", "attempts"
    cases: tuple[Mapping[str, Any], ...] = ()
    attempts: tuple[Attempt, ...] = ()


def choose_evidence(context: Context) -> Shown:
    """One of the forms that there is something for."""
    parent = context.parents[0]
    rows = sorted(parent.rows, key=lambda row: (row.score or 0.0, row.case))
    forms = [
        shown
        for shown in (
            _failure(context, rows),
            _several(rows),
            _two(context, parent),
            _attempts(context),
        )
        if shown is not None
    ]
    if not forms:
        return Shown("cases")
    chosen = forms[int(context.rng.integers(len(forms)))]
    # always: a change is expensive
    return replace(chosen, attempts=context.evidence.attempts)


def _failure(context: Context, rows: Sequence[Evaluation]) -> Shown | None:
    """One of the cases that went wrong."""
    failed = [row for row in rows if (row.score or 0.0) < GOOD]
    if not failed:
        return None
    return Shown("failure", (_case(failed[int(context.rng.integers(len(failed)))]),))


def _several(rows: Sequence[Evaluation]) -> Shown | None:
    """The worst cases of the agent."""
    return Shown("cases", tuple(map(_case, rows[:SEVERAL]))) if len(rows) > 1 else None


def _two(context: Context, parent: Parent) -> Shown | None:
    """A case on which the agent and another one did differently."""
    evidence = context.evidence
    others = [
        *evidence.inspirations,
        *(
            side
            for lesson in evidence.lessons
            for side in (lesson.before, lesson.after)
        ),
    ]
    own = {row.case: row for row in parent.rows}
    pairs = [
        (own[row.case], row)
        for other in others
        if other.proposal.id != parent.proposal.id
        for row in other.rows
        if row.case in own and row.score != own[row.case].score
    ]
    if not pairs:
        return None
    mine, theirs = pairs[int(context.rng.integers(len(pairs)))]
    return Shown("two variants", (_case(mine), _case(theirs, "another agent")))


def _attempts(context: Context) -> Shown | None:
    """What was tried on this agent before."""
    return Shown("attempts") if context.evidence.attempts else None


def _case(row: Evaluation, who: str = "this agent") -> Mapping[str, Any]:
    return {
        "who": who,
        "case": row.case,
        "score": row.score,
        "feedback": row.feedback,
        "log": row.log,
        "steps": row.metrics.get("steps"),
        "tokens": row.metrics.get("tokens"),
    }
