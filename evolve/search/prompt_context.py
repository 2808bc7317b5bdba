"""Prompt context: the ids that a prompt will show, chosen with the decision.

A prompt that read the archive later would depend on which proposal was faster.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from evolve.archive import Decision, Proposal, Snapshot
from evolve.search.policy import Expand

FAILURES, LESSONS, TRIED = 3, 3, 6
# these operators are shown all earlier attempts on the parent
TELLS_ALL = frozenset({"agentic", "reflect"})
CHILDREN, TURNED_AWAY = 12, 6
_LOOKED_AT = 500  # recent variants that are searched


def prompt_context(action: Expand, snapshot: Snapshot) -> Decision:
    """Return the decision to expand, with what its prompt will show.

    Args:
        action: What the policy decided.
        snapshot: What the decision sees; nothing newer is shown.
    """
    parent = action.parents[0]
    shows_all = action.operator in TELLS_ALL
    return Decision(
        inspirations=action.inspirations,
        failures=tuple(snapshot.failures_of(parent, FAILURES)),
        lessons=tuple(lessons(snapshot, parent)),
        tried=tuple(tried(snapshot, parent)),
        attempts=tuple(attempts(snapshot, parent)) if shows_all else (),
        notes=snapshot.notes,
        hints=snapshot.hints,
        cases=action.cases,
        keep=dict(action.keep),
    )


def lessons(snapshot: Snapshot, parent: str) -> list[tuple[str, str]]:
    """Return improvements to learn from: the parent's lineage first, then the largest.

    Args:
        snapshot: The scored variants.
        parent: Id of the first parent.

    Returns:
        Up to three pairs (variant, better child) of ids.
    """
    own = list(itertools.islice(filter(_improved, _lineage(snapshot, parent)), LESSONS))
    seen = {child.id for child in own}
    recent = (
        p
        for p in snapshot.improvements(_LOOKED_AT)
        if _improved(p) and p.id not in seen
    )
    others = itertools.islice(recent, LESSONS)
    return [(child.parents[0], child.id) for child in [*own, *others][:LESSONS]]


def tried(snapshot: Snapshot, parent: str) -> list[str]:
    """Return recent children that did not score better than their parents.

    Args:
        snapshot: The scored variants.
        parent: Id of the first parent.

    Returns:
        Up to six ids, newest first.
    """
    worse = [
        child
        for child in snapshot.children_of(parent)[-_LOOKED_AT:]
        if not _improved(child)
    ]
    return [child.id for child in worse[: -TRIED - 1 : -1]]


def attempts(snapshot: Snapshot, parent: str) -> list[str]:
    """Return recent children of every kind: scored, then failed, then rejected.

    Args:
        snapshot: The scored variants.
        parent: Id of the first parent.

    Returns:
        Ids, newest first within each kind.
    """
    children = [
        child.id for child in snapshot.children_of(parent)[: -CHILDREN - 1 : -1]
    ]
    return [
        *children,
        *snapshot.failures_of(parent, FAILURES),
        *snapshot.turned_away_of(parent, TURNED_AWAY),
    ]


def _improved(child: Proposal) -> bool:
    return (child.improvement or 0.0) > 0.0 and not child.quarantined


def _lineage(snapshot: Snapshot, variant: str) -> Iterator[Proposal]:
    """Yield the variant and its ancestors up to the seed, along first parents."""
    found = snapshot.proposal(variant)
    while True:
        yield found
        if not found.parents:
            return
        found = snapshot.proposal(found.parents[0])
