"""Reading an archive: scores, lineage, spending. All are queries over rows.

No sum is stored, so nothing is counted twice.
"""

import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Row,
    Select,
    case,
    func,
    or_,
    select,
)

from evolve.archive.attempts import AGGREGATE_KEY, SQL_NAMES
from evolve.archive.database import (
    IDS_AT_ONCE,
    in_batches,
    open_for_reading,
    storage_faults,
)
from evolve.archive.decision import Decision, Kind
from evolve.archive.errors import NotFound
from evolve.archive.records import (
    PERSON,
    AddStatus,
    Call,
    CallCost,
    CallPurpose,
    CallState,
    Evaluation,
    Event,
    Note,
    Observation,
    Proposal,
    Spend,
    State,
)
from evolve.archive.schema import (
    c,
    calls,
    e,
    evaluations,
    events,
    meta,
    p,
    parents,
    proposals,
    vectors,
)
from evolve.archive.whole import needs_log

SCORED = p.state == State.SCORED
TRUSTED = SCORED & p.quarantined.is_(False)
_ROWS_AT_ONCE = 4096
_DIGITS = 10  # decision numbers have fewer digits

NOTES = "notes"  # the kind of event


def pack_text(text: str) -> bytes:
    """Compress a text for the database.

    Args:
        text: Any text; lone surrogates are kept.

    Returns:
        zlib data.
    """
    return zlib.compress(text.encode(errors="surrogatepass"))


def unpack_text(data: bytes) -> str:
    """Return the text that `pack_text` packed.

    Args:
        data: zlib data.

    Returns:
        The text.
    """
    return zlib.decompress(data).decode(errors="surrogatepass")


class ArchiveReader:
    """Queries on an archive; opened with `open`, it can't write.

    Args:
        engine: An engine of the database.
        path: The database file.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine, self.path = engine, path
        self._shared: Connection | None = None  # that of the open transaction

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an archive for a view; a live run continues undisturbed.

        Args:
            path: The database file.

        Returns:
            A reader that can't write.

        Raises:
            ArchiveError: It is missing, unreadable, not an archive, or of another
                schema.
        """
        return cls(open_for_reading(path), path)

    def close(self) -> None:
        """Close all connections to the database."""
        self._engine.dispose()

    def meta(self) -> dict[str, str]:
        """Return the facts that hold for the whole run.

        Returns:
            Key -> text: the seed, and the hash of the evaluator that gave the scores.
        """
        return {row.key: row.value for row in self.rows(select(meta))}

    @cached_property
    def score_of_case(self) -> Any:
        """SQL expression: the score of a case from its attempts, as the task says."""
        aggregate = self.meta().get(AGGREGATE_KEY, "mean")
        return getattr(func, SQL_NAMES[aggregate])(e.score)

    def _case_means(self, split: str) -> Select[Any]:
        """Return the query of the score per proposal and case of a split."""
        return (
            select(e.proposal, self.score_of_case.label("mean"))
            .where(e.split == split, e.reason.is_(None))
            .group_by(e.proposal, e.case_id)
        )

    def proposal(self, prefix: str) -> Proposal:
        """Return one proposal.

        Args:
            prefix: Id, decision number or unique prefix of an id, tried in this order.

        Returns:
            The proposal.

        Raises:
            NotFound: No proposal matches, or several do.
        """
        # first the exact id, which uses the index
        found = self.rows(select(proposals).where(p.id == prefix))
        if prefix.isdecimal() and len(prefix) < _DIGITS:
            found = found or self.rows(select(proposals).where(p.number == int(prefix)))
        found = found or self.rows(
            select(proposals)
            .where(p.id.startswith(prefix, autoescape=True))
            .order_by(p.number)
            .limit(3)
        )
        if not found:
            raise NotFound(
                f"there is no proposal {prefix!r} in {self.path.parent.name}",
                "list them: evolve tree; those of another run: --run NAME",
            )
        if len(found) > 1:
            raise NotFound(
                f"{prefix!r} matches several: " + ", ".join(row.id for row in found),
                "give more letters of the id",
            )
        return self._with_parents(found)[0]

    def first(self) -> Proposal:
        """Return the seed.

        Returns:
            The proposal with number 0.

        Raises:
            NotFound: The run has none yet.
        """
        found = self.rows(select(proposals).where(p.number == 0))
        if not found:
            raise NotFound("the run has no seed yet", "resume the run: evolve resume")
        return self._with_parents(found)[0]

    def proposals(
        self, states: Iterable[State] = (), short: bool = False
    ) -> list[Proposal]:
        """Return proposals in decision order.

        Args:
            states: States to return; empty: all.
            short: Leave out prompt context, measures, messages and logs, to open a
                large run.

        Returns:
            The proposals.
        """
        query, wanted = select(proposals).order_by(p.number), list(states)
        if wanted:
            return self._with_parents(
                self.rows(query.where(p.state.in_(wanted))), short
            )
        last = self._value(select(func.max(p.number))) or 0
        lineage, found = self._lineage(), list[Proposal]()
        for start in range(0, last + 1, _ROWS_AT_ONCE):
            some = p.number.between(start, start + _ROWS_AT_ONCE - 1)
            found += _proposals(self.rows(query.where(some)), lineage, short)
        return found

    def some(self, wanted: Iterable[str]) -> list[Proposal]:
        """Return proposals by id.

        Args:
            wanted: Ids; unknown ones are ignored.

        Returns:
            The proposals, in decision order.
        """
        found: list[Proposal] = []
        for ids in in_batches(wanted):
            found += self._with_parents(
                self.rows(select(proposals).where(p.id.in_(ids)))
            )
        return sorted(found, key=lambda proposal: proposal.number)

    def trusted(self) -> dict[str, int]:
        """Return the scored variants that are not quarantined.

        Returns:
            Id -> decision number.
        """
        query = select(p.id, p.number).where(TRUSTED).order_by(p.number)
        return dict(map(tuple, self.rows(query)))

    def scores(
        self, split: str = "search", wanted: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Return the mean score of scored variants over the cases of a split.

        Rows with a reason are left out: they belong to a child that failed and was
        replaced by its repair.

        Args:
            split: "search", "select" or "heldout".
            wanted: Ids, at most `IDS_AT_ONCE`; None: all.

        Returns:
            Proposal id -> mean of the case means.
        """
        scored, query = select(p.id).where(SCORED), self._case_means(split)
        if wanted is not None:
            scored = scored.where(p.id.in_(wanted))
            query = query.where(e.proposal.in_(wanted))
        known = {row.id for row in self.rows(scored)}
        cases: dict[str, list[float]] = {}
        for proposal, mean in self.rows(query):
            if mean is not None and proposal in known:
                cases.setdefault(proposal, []).append(mean)
        return {proposal: fmean(means) for proposal, means in cases.items()}

    def observations(self) -> dict[str, list[Observation]]:
        """Return the search split's observations, read from the covering index alone.

        Returns:
            Proposal id -> observations, sorted by case and attempt.
        """
        query = (
            select(e.proposal, e.case_id, e.split, e.attempt, e.score, e.reason)
            .where(e.split == "search")
            .order_by(e.proposal, e.case_id, e.attempt)
        )
        found: dict[str, list[Observation]] = {}
        for proposal, *row in self.rows(query):
            found.setdefault(proposal, []).append(Observation(*row))
        return found

    def measures(self) -> dict[str, dict[str, float]]:
        """Return the measures of every scored variant.

        Returns:
            Proposal id -> measure name -> value.
        """
        rows = self.rows(select(p.id, p.measures).where(SCORED))
        read: list[dict[str, float]] = json.loads(
            f"[{','.join([row[1] for row in rows])}]"
        )
        return {row[0]: measures for row, measures in zip(rows, read, strict=True)}

    def vectors(self, wanted: Sequence[str]) -> Iterator[list[bytes]]:
        """Yield the packed vectors of variants in batches.

        Args:
            wanted: Ids of scored variants.

        Yields:
            Up to `IDS_AT_ONCE` vectors, in the order of `wanted`; nothing at all if the
            archive has fewer vectors than `wanted` has ids, as some of its variants are
            older than stored vectors.
        """
        if self._value(select(func.count()).select_from(vectors)) < len(wanted):
            return  # some variants were written before vectors were stored
        stored = vectors.c
        for some in in_batches(wanted):
            query = select(stored.proposal, stored.data).where(
                stored.proposal.in_(some)
            )
            found = dict(self.rows(query))
            yield [found[proposal] for proposal in some]

    def best_scored(self, count: int, maximize: bool) -> list[str]:
        """Return the best scored variants that are not quarantined.

        Args:
            count: Maximum number of variants.
            maximize: Whether a higher score is better.
            split: "search", "select" or "heldout".

        Returns:
            Ids, best mean first.
        """
        per_case = self._case_means("search").subquery()
        mean = func.avg(per_case.c.mean)
        query = (
            select(per_case.c.proposal)
            .join(proposals, p.id == per_case.c.proposal)
            .where(TRUSTED)
            .group_by(per_case.c.proposal)
            .order_by(mean.desc() if maximize else mean)
            .limit(count)
        )
        return [row[0] for row in self.rows(query)]

    def evaluations(self, proposal: str) -> list[Evaluation]:
        """Return the evaluations of one proposal.

        Args:
            proposal: Its id.

        Returns:
            All splits, oldest first.
        """
        query = select(evaluations).where(e.proposal == proposal)
        return [_evaluation(row) for row in self.rows(query.order_by(e.id))]

    def calls(self, proposal: str | None = None) -> list[Call]:
        """Return model calls with their texts.

        Args:
            proposal: Id of a proposal; None: all.

        Returns:
            Oldest first.
        """
        query = select(calls).order_by(c.id)
        if proposal is not None:
            query = query.where(c.proposal == proposal)
        return [_call(row) for row in self.rows(query)]

    def replied(self) -> set[str]:
        """Return the proposals with a stored reply: unfinished ones and the seed.

        Returns:
            Ids of proposals.
        """
        query = (
            select(c.proposal)
            .join(proposals, p.id == c.proposal)
            .where(
                or_(p.state.in_([s for s in State if not s.finished]), p.number == 0),
                c.state == CallState.REPLIED,
            )
        )
        return {row[0] for row in self.rows(query)}

    def call_costs(self) -> list[CallCost]:
        """Return every call without its texts.

        Returns:
            Oldest first.
        """
        tokens = c.prompt_tokens + c.completion_tokens
        query = select(c.proposal, c.model, tokens, c.cost_usd).order_by(c.id)
        return [CallCost(*row) for row in self.rows(query)]

    def notes(self) -> list[Note]:
        """Return the notes on the search.

        Returns:
            Oldest first.
        """
        query = select(events).where(events.c.kind == NOTES).order_by(events.c.id)
        return [Note(**json.loads(row.data)) for row in self.rows(query)]

    def spend(self) -> Spend:
        """Return the spending of the run, as sums over call rows.

        Returns:
            The cost of settled calls plus the reservations of all others; programs
            added by a person do not count as calls.
        """
        settled = c.state.in_([CallState.REPLIED, CallState.FAILED])
        used = c.prompt_tokens + c.completion_tokens
        query = select(
            func.count(),
            func.sum(case((settled, used), else_=c.reserved_tokens)),
            func.sum(case((settled, c.cost_usd), else_=0.0)),
            func.sum(case((settled, 0.0), else_=c.reserved_usd)),
        ).where(c.model != PERSON)
        number, tokens, usd, uncertain = (value or 0 for value in self.rows(query)[0])
        return Spend(number, tokens, usd + uncertain, float(usd), float(uncertain))

    def counts(self) -> dict[State, int]:
        """Return the number of proposals in each state, without the seed.

        Returns:
            State -> number, for states that occur.
        """
        query = select(p.state, func.count()).where(p.number > 0).group_by(p.state)
        return {State(state): count for state, count in self.rows(query)}

    def answering_models(self) -> set[str]:
        """Return the models that have replied at least once."""
        query = select(c.model).where(c.state == CallState.REPLIED).distinct()
        return {str(row.model) for row in self.rows(query)}

    def events(
        self, after: int = 0, limit: int | None = None, kinds: Sequence[str] = ()
    ) -> list[Event]:
        """Return the first events after a given one.

        Args:
            after: Id of an event.
            limit: Maximum number of events; None: all.
            kinds: Kinds to return; empty: all.

        Returns:
            Oldest first.
        """
        query = select(events).where(events.c.id > after).order_by(events.c.id)
        wanted = query.where(events.c.kind.in_(kinds)) if kinds else query
        return [_event(row) for row in self.rows(wanted.limit(limit))]

    def latest_events(self, kinds: Iterable[str]) -> dict[str, Event]:
        """Return the newest event of each kind.

        Args:
            kinds: Kinds of events.

        Returns:
            Kind -> event, for kinds that occur.
        """
        newest = select(func.max(events.c.id)).where(events.c.kind.in_(list(kinds)))
        query = select(events).where(events.c.id.in_(newest.group_by(events.c.kind)))
        return {row.kind: _event(row) for row in self.rows(query)}

    def last_event_at(self) -> float | None:
        """Return the time of the newest event.

        Returns:
            Seconds since the epoch; None without events.
        """
        query = select(events.c.at).order_by(events.c.id.desc()).limit(1)
        return next((row.at for row in self.rows(query)), None)

    def finished_since(self, moment: float) -> int:
        """Return how many variants were scored or failed at or after a time.

        Args:
            moment: Seconds since the epoch.

        Returns:
            Number of proposals.
        """
        ended = p.state.in_([State.SCORED, State.FAILED])
        query = select(func.count()).where(p.finished_at >= moment, ended)
        return int(self._value(query))

    def awaiting_their_turn(self) -> dict[str, int]:
        """Return unfinished proposals with a complete evaluation not yet recorded.

        Returns:
            Proposal id -> number of its latest attempt.
        """
        query = (
            select(events.c.proposal, events.c.data)
            .join(proposals, p.id == events.c.proposal)
            .where(events.c.kind == "evaluated", p.state == State.EVALUATING)
            .order_by(events.c.id)
        )
        return {
            row.proposal: json.loads(row.data)["attempt"] for row in self.rows(query)
        }

    def replaced_trees(self) -> list[tuple[str, str]]:
        """Return the first children that failed and were replaced by their repair.

        Returns:
            Pairs (proposal id, hash of the replaced tree).
        """
        query = select(events.c.proposal, events.c.data).where(
            events.c.kind == State.PROPOSED, events.c.data.contains('"replaces"')
        )
        return [
            (row.proposal, json.loads(row.data)["replaces"]) for row in self.rows(query)
        ]

    def last_event(self) -> int:
        """Return the archive's clock: the id of the newest event, 0 if there is none.

        Returns:
            Id of the event.
        """
        return self._value(select(func.max(events.c.id))) or 0

    def _with_parents(
        self, rows: list[Row[Any]], short: bool = False
    ) -> list[Proposal]:
        few = [row.id for row in rows] if len(rows) <= IDS_AT_ONCE else None
        return _proposals(rows, self._lineage(few), short)

    def _lineage(
        self, children: Sequence[str] | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Return the parents of the given children, or of all."""
        query = select(parents.c.child, parents.c.parent).order_by(
            parents.c.child, parents.c.position
        )
        if children is not None:
            query = query.where(parents.c.child.in_(children))
        lineage: dict[str, tuple[str, ...]] = {}
        one: dict[str, str] = {}  # one string object per id, shared by all its children
        for child, parent in self.rows(query):
            lineage[child] = (*lineage.get(child, ()), one.setdefault(parent, parent))
        return lineage

    def rows(self, query: Executable) -> list[Any]:
        """Return the rows of a query.

        Args:
            query: A SELECT of SQLAlchemy.

        Returns:
            All rows.

        Raises:
            ArchiveError: The database can't be read.
        """
        if self._shared is not None:
            return list(self._shared.execute(query).all())
        with storage_faults(self.path), self._current().connect() as connection:
            return list(connection.execute(query).all())

    def _current(self) -> Engine:
        """Return an engine that sees the rows of a writer that started later."""
        if self._engine.url.query.get("immutable") and needs_log(self.path):
            self._engine.dispose()
            self._engine = open_for_reading(self.path)
        return self._engine

    def _value(self, query: Executable) -> Any:
        return self.rows(query)[0][0]


_PLACE = {column.name: place for place, column in enumerate(proposals.columns)}
# the only field that is not a column
_PARENTS = [f.name for f in fields(Proposal)].index("parents")
_STATES = {str(state): state for state in State}
_KINDS = {str(kind): kind for kind in Kind}
_KEPT = {str(kept): kept for kept in AddStatus}


def _proposals(
    rows: Sequence[Row[Any]], lineage: Mapping[str, tuple[str, ...]], short: bool
) -> list[Proposal]:
    measures = [dict[str, float]()] * len(rows) if short else _all_of(rows, "measures")
    read = zip(rows, _all_of(rows, "decision"), measures, strict=True)
    return [
        _proposal(row, lineage.get(row[0], ()), decision, measures, short)
        for row, decision, measures in read
    ]


def _all_of(rows: Sequence[Row[Any]], column: str) -> list[dict[str, Any]]:
    """Parse a JSON column of all rows at once, for speed on opening a large run."""
    found: list[dict[str, Any]] = json.loads(
        f"[{','.join([row[_PLACE[column]] for row in rows])}]"
    )
    return found


def _proposal(
    row: Row[Any],
    lineage: tuple[str, ...],
    decision: dict[str, Any],
    measures: dict[str, float],
    short: bool,
) -> Proposal:
    """Build a proposal by position, not by name, for speed on opening a large run."""
    values = list(row)
    values[_PLACE["state"]] = _STATES[row[_PLACE["state"]]]
    values[_PLACE["kept"]] = _KEPT.get(row[_PLACE["kept"]])
    if short:
        values[_PLACE["message"]] = values[_PLACE["log"]] = ""
        values[_PLACE["operator"]] = sys.intern(values[_PLACE["operator"]])
    read = Decision.in_short_of if short else Decision.of
    values[_PLACE["decision"]], values[_PLACE["measures"]] = read(decision), measures
    values[_PLACE["kind"]] = _KINDS[row[_PLACE["kind"]]]
    values.insert(_PARENTS, lineage)
    return Proposal(*values)


def _event(row: Row[Any]) -> Event:
    return Event(row.id, row.at, row.kind, row.proposal, json.loads(row.data))


def _evaluation(row: Row[Any]) -> Evaluation:
    values = dict(row._mapping)
    for key in ("id", "proposal", "created_at"):
        del values[key]
    values["case"] = values.pop("case_id")
    values["metrics"] = json.loads(row.metrics)
    return Evaluation(**values)


def _call(row: Row[Any]) -> Call:
    values = dict(row._mapping)
    del values["sent_at"]
    values["state"] = CallState(row.state)
    values["purpose"] = CallPurpose(row.purpose)
    values["request"] = unpack_text(row.request)
    values["reply"] = unpack_text(row.reply) if row.reply is not None else None
    return Call(**values)
