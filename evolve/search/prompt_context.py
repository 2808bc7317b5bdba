"""Prompt context: the ids that a prompt will show, chosen with the decision.

A prompt that read the archive later would depend on which proposal was faster.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from evolve.archive import CONTEXT_KINDS, Decision, Proposal, Snapshot
from evolve.search.policy import Expand

FAILURES, LESSONS, TRIED = 3, 3, 6
CHILDREN, TURNED_AWAY = 12, 6
_LOOKED_AT = 500  # recent variants that are searched


def prompt_context(
    action: Expand, snapshot: Snapshot, shows: Collection[str] = CONTEXT_KINDS
) -> Decision:
    """Return the decision to expand, with what its prompt will show.

    Args:
        action: What the policy decided.
        snapshot: What the decision sees; nothing newer is shown.
        shows: Kinds that the operator shows (`Operator.shows`), each a key of
            `PROVIDERS`; notes and hints are part of every prompt.

    Returns:
        The decision; what the operator does not show is left out.
    """
    chosen: dict[str, Any] = {
        kind: tuple(PROVIDERS[kind](action, snapshot)) for kind in shows
    }
    return Decision(
        **chosen,
        notes=snapshot.notes,
        hints=snapshot.hints,
        cases=action.cases,
        keep=dict(action.keep),
        literals=action.literals,
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


# One provider per kind of prompt context.
PROVIDERS: Mapping[str, Callable[[Expand, Snapshot], Iterable[Any]]] = {
    "inspirations": lambda action, snapshot: action.inspirations,
    "failures": lambda action, snapshot: snapshot.failures_of(
        action.parents[0], FAILURES
    ),
    "lessons": lambda action, snapshot: lessons(snapshot, action.parents[0]),
    "tried": lambda action, snapshot: tried(snapshot, action.parents[0]),
    "attempts": lambda action, snapshot: attempts(snapshot, action.parents[0]),
}
