"""Prompt context for changing an agent, in one of four forms chosen at random.

It consists of feedback of search cases, output of agents, and notes. It never includes
the hidden parts of a case: tests, params and other splits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evolve.archive import Evaluation
from evolve.operators.context import Attempt, Context, Parent

SEVERAL = 4  # greatest number of cases of one variant
GOOD = 1.0  # a case with this score is fully solved


@dataclass(frozen=True)
class Shown:
    """The chosen form, with its cases and attempts.

    Attributes:
        form: "failure", "cases", "two variants" or "attempts"
        cases: evaluations, each with the agent that it belongs to
        attempts: earlier attempts, in every form
    """

    form: str
    cases: tuple[Mapping[str, Any], ...] = ()
    attempts: tuple[Attempt, ...] = ()


def choose_form(context: Context) -> Shown:
    """Choose one of the available forms of prompt context.

    Args:
        context: its generator decides

    Returns:
        The form; "cases" without any case if there is nothing to show.
    """
    parent = context.parents[0]
    rows = sorted(parent.rows, key=lambda row: (row.score or 0.0, row.case))
    forms = [
        shown
        for shown in (
            _failure(context, rows),
            Shown("cases", tuple(map(_case, rows[:SEVERAL])))
            if len(rows) > 1
            else None,
            _two(context, parent),
            Shown("attempts") if context.prompt_context.attempts else None,
        )
        if shown is not None
    ]
    if not forms:
        return Shown("cases")
    chosen = forms[int(context.rng.integers(len(forms)))]
    # Always show attempts, because a change is expensive.
    return replace(chosen, attempts=context.prompt_context.attempts)


def _failure(context: Context, rows: Sequence[Evaluation]) -> Shown | None:
    """Return one failed case."""
    failed = [row for row in rows if (row.score or 0.0) < GOOD]
    if not failed:
        return None
    return Shown("failure", (_case(failed[int(context.rng.integers(len(failed)))]),))


def _two(context: Context, parent: Parent) -> Shown | None:
    """Return a case with different scores of this agent and another one."""
    more = context.prompt_context
    others = [
        *more.inspirations,
        *(side for lesson in more.lessons for side in (lesson.before, lesson.after)),
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
