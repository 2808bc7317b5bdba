"""Queries for views of a whole run: rows without long texts, counts, total costs."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.sql import FromClause

from evolve.archive.database import in_batches
from evolve.archive.decision import Kind
from evolve.archive.reader import ArchiveReader
from evolve.archive.records import AddStatus, CallPurpose, CallState, State
from evolve.archive.schema import c, e, p, parents, proposals, vectors

_CHILDREN = p.kind != Kind.EVALUATE  # decisions to evaluate make no child


class Variant(NamedTuple):
    """A proposal as trees, lists, tables and pages show it, without its long texts.

    A tuple, as an archive has 100,000 of them.

    Attributes:
        parents: Ids, the first parent first; empty for the seed.
        state: Value of a `State`.
        improvement: Over the best parent, from the present scores if they have changed
            by further evaluations, else as recorded when the proposal was scored.
        kept: Value of an `AddStatus`; None unless scored.
        reason: Why it failed or was rejected.
        created_at: Seconds since the epoch, like `finished_at`.
        passed: Whether its tree passed the checks, so that it is in the tree.
        children: Number of proposals that passed and have it among their parents.
        cost_usd: Cost of all its model calls.
        ratio_low: Lower end of the interval of its speed against its reference; None if
            it is not timed.
        ratio_high: Upper end.
        pairs: Number of pairs of processes that were measured.
        score: Mean over the cases of the search split; None unless scored.
    """

    id: str
    number: int
    parents: tuple[str, ...]
    state: str
    operator: str
    model: str | None
    island: int
    improvement: float | None
    novelty: float | None
    kept: str | None
    quarantined: bool
    reason: str | None
    note: str
    created_at: float
    finished_at: float | None
    passed: bool
    children: int
    cost_usd: float
    ratio_low: float | None
    ratio_high: float | None
    pairs: float | None
    score: float | None

    @property
    def parent(self) -> str | None:
        """The first parent; None for the seed."""
        return self.parents[0] if self.parents else None

    @property
    def is_best(self) -> bool:
        """Whether it was better than every earlier variant and is not quarantined."""
        return self.kept == AddStatus.BEST and not self.quarantined

    @property
    def interval(self) -> str | None:
        """The interval of its speed and its pairs of processes; None if not timed."""
        if self.ratio_low is None or self.ratio_high is None or self.pairs is None:
            return None
        ends = f"{self.ratio_low:.3f} to {self.ratio_high:.3f}"
        return f"{ends}, {self.pairs:.0f} pairs"

    @property
    def cause(self) -> str | None:
        """Why it has no score: the reason, else the state; None if it has one."""
        return None if self.score is not None else self.reason or self.state


class Cause(NamedTuple):
    """A reason why proposals failed or were rejected, and how often.

    Attributes:
        message: The most frequent message.
        example: Id of a proposal with this message.
    """

    state: str
    reason: str
    times: int
    message: str = ""
    example: str = ""


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
        maximize: Whether a higher score is better.
    """

    def __init__(self, archive: ArchiveReader, maximize: bool = True) -> None:
        self._archive, self._sign = archive, 1.0 if maximize else -1.0

    def variants(self, wanted: Iterable[str] | None = None) -> list[Variant]:
        """Return proposals in decision order.

        Args:
            wanted: Ids to return; None: all but decisions to evaluate.

        Returns:
            One row per proposal; unknown ids are ignored.
        """
        if wanted is None:
            scores = self._archive.scores()
            return self._as_of_now(
                self._variants(_rows().where(_CHILDREN), scores), scores
            )
        found: list[Variant] = []
        for ids in in_batches(wanted):
            scores = self._archive.scores(wanted=ids)
            found += self._variants(_rows().where(p.id.in_(ids)), scores)
        return sorted(self._as_of_now(found), key=lambda variant: variant.number)

    def _as_of_now(
        self, found: list[Variant], scores: Mapping[str, float] | None = None
    ) -> list[Variant]:
        """Return the variants with improvements from the present scores."""
        if not self._archive.counts().get(State.EVALUATED):
            return found  # no score has changed since it was recorded
        if scores is None:
            scores = {}
            for ids in in_batches({name for v in found for name in v.parents}):
                scores |= self._archive.scores(wanted=ids)
        return [self._with_improvement(variant, scores) for variant in found]

    def _with_improvement(
        self, variant: Variant, scores: Mapping[str, float]
    ) -> Variant:
        above = [
            self._sign * scores[name] for name in variant.parents if name in scores
        ]
        if variant.score is None or not above:
            return variant
        return variant._replace(improvement=self._sign * variant.score - max(above))

    def finished_after(self, event: int, limit: int = 500) -> list[Variant]:
        """Return the first proposals that finished after an event.

        Args:
            event: Id of the event.
            limit: Maximum number of proposals.

        Returns:
            The proposals, in decision order.
        """
        query = (
            select(p.id)
            .where(p.finished_event > event, _CHILDREN)
            .order_by(p.finished_event)
            .limit(limit)
        )
        return self.variants(row.id for row in self._archive.rows(query))

    def _variants(
        self, query: Select[Any], scores: Mapping[str, float]
    ) -> list[Variant]:
        """Return one row per proposal; the query has one for each of its parents."""
        found = []
        for name, group in groupby(self._archive.rows(query), key=itemgetter(0)):
            rows = list(group)
            above = tuple(row.parent for row in rows if row.parent)
            first = rows[0]
            found.append(
                Variant._make([*first[:2], above, *first[3:], scores.get(name)])
            )
        return found

    def children(self, parent: str) -> list[Variant]:
        """Return the proposals that have `parent` among their parents, first or not.

        Args:
            parent: Id of a variant.

        Returns:
            The children, in decision order.
        """
        query = (
            select(parents.c.child)
            .distinct()
            .join(proposals, p.id == parents.c.child)
            .where(parents.c.parent == parent, _CHILDREN)
        )
        return self.variants(row.child for row in self._archive.rows(query))

    def causes(self) -> list[Cause]:
        """Return failures and rejections by reason.

        Returns:
            One row per state and reason, most frequent first; a missing reason is
            "unknown".
        """
        query = (
            select(
                p.state,
                func.coalesce(p.reason, "unknown"),
                func.count(),
                p.message,
                func.min(p.id),
            )
            .where(p.state.in_([State.FAILED, State.REJECTED]))
            .group_by(p.state, p.reason, p.message)
            .order_by(func.count().desc(), p.message)
        )
        found: dict[tuple[str, str], Cause] = {}
        for row in self._archive.rows(query):
            most = found.setdefault(
                (row[0], row[1]), Cause(row[0], row[1], 0, *row[3:])
            )
            found[row[0], row[1]] = most._replace(times=most.times + row[2])
        return sorted(found.values(), key=lambda cause: -cause.times)

    def models(self) -> list[ModelUse]:
        """Return the use of each model.

        Returns:
            One row per model, most expensive first.
        """
        query = select(
            c.model,
            func.count(),
            func.count().filter(c.state == CallState.REPLIED),
            func.count().filter(c.state == CallState.FAILED),
            func.sum(c.prompt_tokens),
            func.sum(c.completion_tokens),
            func.sum(c.cost_usd),
            func.sum(c.seconds),
        ).group_by(c.model)
        return sorted(
            (ModelUse(*row) for row in self._archive.rows(query)),
            key=lambda use: (-use.cost_usd, -use.calls, use.model),
        )

    def writers(self) -> dict[str, str]:
        """Return the model that wrote each proposal.

        Returns:
            Proposal id -> name of the model, for those that a model wrote.
        """
        asked = c.purpose.in_([CallPurpose.PROPOSE, CallPurpose.REPAIR])
        query = (
            select(c.proposal, c.model)
            .where(asked, c.state == CallState.REPLIED)
            .order_by(c.id)
        )
        return {row.proposal: row.model for row in self._archive.rows(query)}

    def evaluator(self) -> EvaluatorUse:
        """Return the totals over all evaluations of all splits.

        Returns:
            The totals; all zero without evaluations.
        """
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
        """Return the score per case of some variants.

        Args:
            wanted: Ids of variants.

        Returns:
            One row per variant and case, over the attempts at all splits.
        """
        found: list[CaseScore] = []
        of_case = self._archive.score_of_case
        for ids in in_batches(wanted):
            query = (
                select(e.proposal, e.case_id, of_case, func.count())
                .where(e.proposal.in_(ids))
                .group_by(e.proposal, e.case_id)
            )
            found += [CaseScore(*row) for row in self._archive.rows(query)]
        return found

    def measures(self) -> dict[str, dict[str, float]]:
        """Return the measures of the scored variants that are not quarantined.

        Returns:
            Proposal id -> measure name -> value, in decision order.
        """
        measures = self._archive.measures()
        return {name: measures[name] for name in self._archive.trusted()}

    def vectors(self) -> dict[str, bytes]:
        """Return the packed vector (float16) of each scored variant that has one.

        Returns:
            Proposal id -> bytes.
        """
        query = select(vectors.c.proposal, vectors.c.data)
        return dict(map(tuple, self._archive.rows(query)))


_TIMES = ("ratio_low", "ratio_high", "pairs")  # measures of a timed variant


def _rows() -> Select[Any]:
    """Return the query of the fields of `Variant`, in their order, without the score."""
    child, made = proposals.alias("child"), parents.alias("made")
    children = (
        select(func.count(made.c.child.distinct()))
        .join(child, child.c.id == made.c.child)
        .where(made.c.parent == p.id, _passed(child))
    )
    cost = func.coalesce(func.sum(c.cost_usd), 0.0)
    stored = [p[name] for name in Variant._fields if name in p]
    return (
        select(
            *stored[:2],
            parents.c.parent,
            *stored[2:],
            _passed(proposals),
            children.scalar_subquery(),
            select(cost).where(c.proposal == p.id).scalar_subquery(),
            *(func.json_extract(p.measures, f"$.{name}") for name in _TIMES),
        )
        .outerjoin(parents, parents.c.child == p.id)
        .order_by(p.number, parents.c.position)
    )


def _passed(table: FromClause) -> ColumnElement[bool]:
    return table.c.tree.is_not(None) & (table.c.state != State.REJECTED)
