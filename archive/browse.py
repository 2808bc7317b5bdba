"""What views of a whole run ask: light rows without texts, counts by cause, what it all has cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from evolve.archive.database import IDS_AT_ONCE
from evolve.archive.decision import Kind
from evolve.archive.reader import ArchiveReader
from evolve.archive.records import AddStatus, CallState, State
from evolve.archive.schema import calls, evaluations, parents, proposals, vectors


class Node(NamedTuple):
    """A proposal as the tree, the curves and the tables show it."""

    id: str
    number: int
    parent: str | None
    state: str
    operator: str
    model: str | None
    island: int
    score: float | None
    improvement: float | None
    novelty: float | None
    kept: str | None
    quarantined: bool
    reason: str | None
    note: str
    created_at: float
    finished_at: float | None
    cost_usd: float

    @property
    def is_best(self) -> bool:
        """Whether it was better than everything before it."""
        return self.kept == AddStatus.BEST.value and not self.quarantined


class Cause(NamedTuple):
    """Why proposals came to nothing."""

    state: str
    reason: str
    times: int


class ModelUse(NamedTuple):
    """What one model was asked, and what it took."""

    model: str
    calls: int
    replied: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    seconds: float


class EvaluatorUse(NamedTuple):
    """What scoring took."""

    rows: int
    failed: int
    seconds: float
    cpu_s: float
    peak_memory_bytes: int
    cost_usd: float


class CaseScore(NamedTuple):
    """The mean of a variant on a case."""

    proposal: str
    case: str
    score: float | None
    attempts: int


class Browser:
    """Questions of pages and tables to one archive."""

    def __init__(self, archive: ArchiveReader) -> None:
        self._archive = archive

    def nodes(self, wanted: Iterable[str] | None = None) -> list[Node]:
        """Every proposal that was to become a variant, or some of them, in the order of decisions."""
        if wanted is None:
            return self._nodes(_light(), self._archive.scores(), None)
        ids, found = list(wanted), []
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            scores = self._archive.scores(wanted=some)
            found += self._nodes(_light().where(proposals.c.id.in_(some)), scores, some)
        return sorted(found, key=lambda node: node.number)

    def finished_after(self, event: int, limit: int = 500) -> list[Node]:
        """What has ended since an event, the oldest first."""
        query = (
            select(proposals.c.id)
            .where(
                proposals.c.finished_event > event,
                proposals.c.kind != Kind.EVALUATE.value,
            )
            .order_by(proposals.c.finished_event)
            .limit(limit)
        )
        return self.nodes(row[0] for row in self._archive.rows(query))

    def _nodes(
        self, query: Select[Any], scores: Mapping[str, float], some: list[str] | None
    ) -> list[Node]:
        costs = self._archive.costs(some)
        return [
            Node._make([*row[:7], scores.get(row[0]), *row[7:], costs.get(row[0], 0.0)])
            for row in self._archive.rows(query)
        ]

    def children(self, parent: str) -> list[Node]:
        """What was made from a variant, as first or as another parent."""
        query = select(parents.c.child).where(parents.c.parent == parent)
        return self.nodes({row[0] for row in self._archive.rows(query)})

    def causes(self) -> list[Cause]:
        """Failures and rejections by reason, the most frequent first."""
        count = func.count().label("count")
        query = (
            select(proposals.c.state, proposals.c.reason, count)
            .where(proposals.c.state.in_([State.FAILED.value, State.REJECTED.value]))
            .group_by(proposals.c.state, proposals.c.reason)
            .order_by(count.desc())
        )
        return [
            Cause(row[0], row[1] or "unknown", row[2])
            for row in self._archive.rows(query)
        ]

    def models(self) -> list[ModelUse]:
        """Every model that was asked, most expensive first."""
        c = calls.c
        query = select(
            c.model,
            func.count(),
            func.count().filter(c.state == CallState.REPLIED.value),
            func.count().filter(c.state == CallState.FAILED.value),
            func.sum(c.prompt_tokens),
            func.sum(c.completion_tokens),
            func.sum(c.cost_usd),
            func.sum(c.seconds),
        ).group_by(c.model)
        return sorted(
            (ModelUse(*row) for row in self._archive.rows(query)),
            key=lambda use: (-use.cost_usd, -use.calls, use.model),
        )

    def evaluator(self) -> EvaluatorUse:
        """All evaluations together."""
        e = evaluations.c
        query = select(
            func.count(),
            func.count(e.reason),
            func.coalesce(func.sum(e.seconds), 0.0),
            func.coalesce(func.sum(e.cpu_s), 0.0),
            func.coalesce(func.max(e.peak_memory_bytes), 0),
            func.coalesce(func.sum(e.cost_usd), 0.0),
        )
        return EvaluatorUse(*self._archive.rows(query)[0])

    def case_scores(self, wanted: Iterable[str]) -> list[CaseScore]:
        """Means by case for some variants."""
        e, ids, found = evaluations.c, list(wanted), []
        for start in range(0, len(ids), IDS_AT_ONCE):
            query = (
                select(e.proposal, e.case_id, func.avg(e.score), func.count())
                .where(e.proposal.in_(ids[start : start + IDS_AT_ONCE]))
                .group_by(e.proposal, e.case_id)
            )
            found += [CaseScore(*row) for row in self._archive.rows(query)]
        return found

    def measures(self) -> dict[str, dict[str, float]]:
        """What each scored variant is, beside its score."""
        query = (
            select(proposals.c.id, proposals.c.measures)
            .where(
                proposals.c.state == State.SCORED.value,
                proposals.c.quarantined.is_(False),
            )
            .order_by(proposals.c.number)
        )
        return {row[0]: json.loads(row[1]) for row in self._archive.rows(query)}

    def vectors(self) -> dict[str, bytes]:
        """The packed vector of each scored variant."""
        query = select(vectors.c.proposal, vectors.c.data)
        return {row[0]: row[1] for row in self._archive.rows(query)}

    def started_at(self) -> float | None:
        """When the first decision was taken, in seconds since the epoch."""
        return self._archive.rows(select(func.min(proposals.c.created_at)))[0][0]  # type: ignore[no-any-return]


def _light() -> Select[Any]:
    p = proposals.c
    first = parents.alias("first")
    return (
        select(
            p.id,
            p.number,
            first.c.parent,
            p.state,
            p.operator,
            p.model,
            p.island,
            p.improvement,
            p.novelty,
            p.kept,
            p.quarantined,
            p.reason,
            func.substr(p.note, 1, 160),
            p.created_at,
            p.finished_at,
        )
        .outerjoin(first, (first.c.child == p.id) & (first.c.position == 0))
        .where(p.kind != Kind.EVALUATE.value)
        .order_by(p.number)
    )
