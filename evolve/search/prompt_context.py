"""What a prompt will show, chosen when the proposal is decided: ids, never texts.

A prompt that looked into the archive later would depend on who was faster.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from evolve.archive import Decision, Proposal, Snapshot
from evolve.search.policy import Expand

FAILURES, LESSONS, TRIED = 3, 3, 6
# they are shown whatever was tried on the parent
TELLS_ALL = frozenset({"agentic", "reflect"})
CHILDREN, TURNED_AWAY = 12, 6
_LOOKED_AT = 500  # recent variants, for lessons of others


def prompt_context(action: Expand, snapshot: Snapshot) -> Decision:
    """Return the decision to expand, with what its prompt will show.

    Args:
        action: what the policy decided.
        snapshot: what the decision sees; nothing newer is shown.
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
    """(variant, better child): steps of the parent's own lineage, then the largest of others."""
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
    """Children that did not score better than the parent, newest first."""
    worse = [
        child
        for child in snapshot.children_of(parent)[-_LOOKED_AT:]
        if not _improved(child)
    ]
    return [child.id for child in worse[: -TRIED - 1 : -1]]


def attempts(snapshot: Snapshot, parent: str) -> list[str]:
    """All that was made of the parent, good or not, newest first of each kind."""
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
    """From the variant up to the seed, along first parents."""
    found = snapshot.proposal(variant)
    while True:
        yield found
        if not found.parents:
            return
        found = snapshot.proposal(found.parents[0])
