"""Queries for views of a whole run: rows without long texts, counts, total costs."""

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
    """A proposal as the tree, the curves and the tables show it.

    Attributes:
        parent: The first parent; None for the seed.
        score: Mean over the cases of the search split; None unless scored.
        improvement: Over the best parent, as recorded when the proposal was scored.
        kept: Value of an `AddStatus`; None unless scored.
        reason: Why it failed or was rejected.
        note: The first 160 characters.
        created_at: Seconds since the epoch, like `finished_at`.
        cost_usd: Cost of all its model calls.
    """

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
        """Whether it was better than every earlier variant and is not quarantined."""
        return self.kept == AddStatus.BEST.value and not self.quarantined


class Cause(NamedTuple):
    """A reason why proposals failed or were rejected, and how often."""

    state: str
    reason: str
    times: int


class ModelUse(NamedTuple):
    """Calls, tokens, cost and time of one model."""

    model: str
    calls: int
    replied: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    seconds: float


class EvaluatorUse(NamedTuple):
    """Totals over all evaluations; `peak_memory_bytes` is their maximum."""

    rows: int
    failed: int
    seconds: float
    cpu_s: float
    peak_memory_bytes: int
    cost_usd: float


class CaseScore(NamedTuple):
    """The mean score of a variant on a case; None if every attempt failed."""

    proposal: str
    case: str
    score: float | None
    attempts: int


class Browser:
    """Read-only queries of pages and tables on one archive.

    Args:
        archive: The archive to query.
    """

    def __init__(self, archive: ArchiveReader) -> None:
        self._archive = archive

    def nodes(self, wanted: Iterable[str] | None = None) -> list[Node]:
        """Return proposals in decision order, without decisions to evaluate.

        Args:
            wanted: Ids to return; None: all.
        """
        if wanted is None:
            return self._nodes(_light(), self._archive.scores(), None)
        ids, found = list(wanted), []
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            scores = self._archive.scores(wanted=some)
            found += self._nodes(_light().where(proposals.c.id.in_(some)), scores, some)
        return sorted(found, key=lambda node: node.number)

    def finished_after(self, event: int, limit: int = 500) -> list[Node]:
        """Return the first proposals that finished after an event.

        Args:
            event: Id of the event.
            limit: Maximum number of proposals.

        Returns:
            The nodes, in decision order.
        """
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
        """Return the proposals that have `parent` among their parents, first or not.

        Args:
            parent: Id of a variant.

        Returns:
            The children, in decision order.
        """
        query = select(parents.c.child).where(parents.c.parent == parent)
        return self.nodes({row[0] for row in self._archive.rows(query)})

    def causes(self) -> list[Cause]:
        """Return failures and rejections by reason.

        Returns:
            One row per state and reason, most frequent first; a missing reason is
            "unknown".
        """
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
        """Return the use of each model.

        Returns:
            One row per model, most expensive first.
        """
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
        """Return the totals over all evaluations of all splits.

        Returns:
            The totals; all zero without evaluations.
        """
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
        """Return the mean score per case of some variants.

        Args:
            wanted: Ids of variants.

        Returns:
            One row per variant and case, over the attempts at all splits.
        """
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
        """Return the measures of the scored variants that are not quarantined.

        Returns:
            Proposal id -> measure name -> value, in decision order.
        """
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
        """Return the packed vector (float16) of each scored variant that has one.

        Returns:
            Proposal id -> bytes.
        """
        query = select(vectors.c.proposal, vectors.c.data)
        return {row[0]: row[1] for row in self._archive.rows(query)}

    def started_at(self) -> float | None:
        """Return when the first decision was taken.

        Returns:
            Seconds since the epoch; None before the first decision.
        """
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
