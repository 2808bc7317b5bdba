"""What a prompt will show, chosen when the proposal is decided: ids, never texts.

A prompt that looked into the archive later would depend on who was faster.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from evolve.archive import Proposal, Snapshot
from evolve.search.policy import KEEP, Expand

FAILURES, LESSONS, TRIED = 3, 3, 6
# they are shown whatever was tried on the parent
TELLS_ALL = frozenset({"agentic", "reflect"})
CHILDREN, TURNED_AWAY = 12, 6
_LOOKED_AT = 500  # recent variants, for lessons of others


def evidence_of(decision: Expand, snapshot: Snapshot) -> dict[str, Any]:
    """The evidence of a decision, as it is kept with its row."""
    parent = decision.parents[0]
    found: dict[str, Any] = {
        "inspirations": list(decision.inspirations),
        "failures": snapshot.failures_of(parent, FAILURES),
        "lessons": lessons(snapshot, parent),
        "tried": tried(snapshot, parent),
    }
    if decision.operator in TELLS_ALL:
        found["attempts"] = attempts(snapshot, parent)
    if snapshot.notes is not None:
        found["notes"] = snapshot.notes
    if snapshot.hints is not None:
        found["hints"] = snapshot.hints
    if decision.cases is not None:
        found["cases"] = decision.cases
    if decision.keep:
        found[KEEP] = dict(decision.keep)
    return found


def lessons(snapshot: Snapshot, parent: str) -> list[list[str]]:
    """(variant, better child): steps of the parent's own lineage, then the largest of others."""
    own = list(itertools.islice(filter(_improved, _lineage(snapshot, parent)), LESSONS))
    seen = {child.id for child in own}
    recent = (
        p
        for p in snapshot.improvements(_LOOKED_AT)
        if _improved(p) and p.id not in seen
    )
    others = itertools.islice(recent, LESSONS)
    return [[child.parents[0], child.id] for child in [*own, *others][:LESSONS]]


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
