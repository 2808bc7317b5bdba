"""Reading an archive: scores, lineage, spending. All are queries over rows.

No sum is stored, so nothing is counted twice.
"""

import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from sqlalchemy import Connection, Engine, Executable, Row, func, or_, select

from evolve.archive.database import IDS_AT_ONCE, open_for_reading, storage_faults
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
    calls,
    evaluations,
    events,
    meta,
    parents,
    proposals,
    vectors,
)

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
        found = self.rows(select(proposals).where(proposals.c.id == prefix))
        if prefix.isdecimal() and len(prefix) < _DIGITS:
            found = found or self.rows(
                select(proposals).where(proposals.c.number == int(prefix))
            )
        found = found or self.rows(
            select(proposals)
            .where(proposals.c.id.startswith(prefix, autoescape=True))
            .order_by(proposals.c.number)
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
        found = self.rows(select(proposals).where(proposals.c.number == 0))
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
        query, number = (
            select(proposals).order_by(proposals.c.number),
            proposals.c.number,
        )
        wanted = [state.value for state in states]
        if wanted:
            return self._with_parents(
                self.rows(query.where(proposals.c.state.in_(wanted))), short
            )
        last = self.rows(select(func.max(number)))[0][0]
        lineage, found = self._lineage(), list[Proposal]()
        for start in range(0, 0 if last is None else last + 1, _ROWS_AT_ONCE):
            rows = self.rows(
                query.where(number >= start, number < start + _ROWS_AT_ONCE)
            )
            found += _proposals(rows, lineage, short)
        return found

    def some(self, wanted: Iterable[str]) -> list[Proposal]:
        """Return proposals by id.

        Args:
            wanted: Ids; unknown ones are ignored.

        Returns:
            The proposals, in decision order.
        """
        ids, found = list(wanted), []
        for start in range(0, len(ids), IDS_AT_ONCE):
            query = select(proposals).where(
                proposals.c.id.in_(ids[start : start + IDS_AT_ONCE])
            )
            found += self._with_parents(self.rows(query))
        return sorted(found, key=lambda proposal: proposal.number)

    def trusted(self) -> dict[str, int]:
        """Return the scored variants that are not quarantined.

        Returns:
            Id -> decision number.
        """
        query = select(proposals.c.id, proposals.c.number).where(
            proposals.c.state == State.SCORED.value, proposals.c.quarantined.is_(False)
        )
        return {row[0]: row[1] for row in self.rows(query)}

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
        scored = select(proposals.c.id).where(proposals.c.state == State.SCORED.value)
        query = (
            select(evaluations.c.proposal, func.avg(evaluations.c.score))
            .where(evaluations.c.split == split, evaluations.c.reason.is_(None))
            .group_by(evaluations.c.proposal, evaluations.c.case_id)
        )
        if wanted is not None:
            scored = scored.where(proposals.c.id.in_(wanted))
            query = query.where(evaluations.c.proposal.in_(wanted))
        known = {row[0] for row in self.rows(scored)}
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
            select(
                evaluations.c.proposal,
                evaluations.c.case_id,
                evaluations.c.split,
                evaluations.c.attempt,
                evaluations.c.score,
                evaluations.c.reason,
            )
            .where(evaluations.c.split == "search")
            .order_by(
                evaluations.c.proposal, evaluations.c.case_id, evaluations.c.attempt
            )
        )
        found: dict[str, list[Observation]] = {}
        for row in self.rows(query):
            found.setdefault(row[0], []).append(Observation._make(row[1:]))
        return found

    def measures(self) -> dict[str, dict[str, float]]:
        """Return the measures of every scored variant.

        Returns:
            Proposal id -> measure name -> value.
        """
        query = select(proposals.c.id, proposals.c.measures).where(
            proposals.c.state == State.SCORED.value
        )
        rows = self.rows(query)
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
        if self.rows(select(func.count()).select_from(vectors))[0][0] < len(wanted):
            return  # some variants were written before vectors were stored
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = wanted[start : start + IDS_AT_ONCE]
            query = select(vectors.c.proposal, vectors.c.data).where(
                vectors.c.proposal.in_(some)
            )
            found = dict(self.rows(query))
            yield [found[proposal] for proposal in some]

    def best_scored(
        self, count: int, maximize: bool, split: str = "search"
    ) -> list[str]:
        """Return the best scored variants that are not quarantined.

        Args:
            count: Maximum number of variants.
            maximize: Whether a higher score is better.
            split: "search", "select" or "heldout".

        Returns:
            Ids, best mean first.
        """
        rows = evaluations.c
        per_case = (
            select(rows.proposal, func.avg(rows.score).label("mean"))
            .where(rows.split == split, rows.reason.is_(None))
            .group_by(rows.proposal, rows.case_id)
            .subquery()
        )
        mean = func.avg(per_case.c.mean)
        query = (
            select(per_case.c.proposal)
            .join(proposals, proposals.c.id == per_case.c.proposal)
            .where(
                proposals.c.state == State.SCORED.value,
                proposals.c.quarantined.is_(False),
            )
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
        query = select(evaluations).where(evaluations.c.proposal == proposal)
        return [_evaluation(row) for row in self.rows(query.order_by(evaluations.c.id))]

    def calls(self, proposal: str | None = None) -> list[Call]:
        """Return model calls with their texts.

        Args:
            proposal: Id of a proposal; None: all.

        Returns:
            Oldest first.
        """
        query = select(calls).order_by(calls.c.id)
        if proposal is not None:
            query = query.where(calls.c.proposal == proposal)
        return [_call(row) for row in self.rows(query)]

    def replied(self) -> set[str]:
        """Return the proposals with a stored reply: unfinished ones and the seed.

        Returns:
            Ids of proposals.
        """
        open_ = [state.value for state in State if not state.finished]
        query = (
            select(calls.c.proposal)
            .join(proposals, proposals.c.id == calls.c.proposal)
            .where(
                or_(proposals.c.state.in_(open_), proposals.c.number == 0),
                calls.c.state == CallState.REPLIED.value,
            )
        )
        return {row[0] for row in self.rows(query)}

    def call_costs(self) -> list[CallCost]:
        """Return every call without its texts.

        Returns:
            Oldest first.
        """
        tokens = (calls.c.prompt_tokens + calls.c.completion_tokens).label("tokens")
        query = select(
            calls.c.proposal, calls.c.model, tokens, calls.c.cost_usd
        ).order_by(calls.c.id)
        return [CallCost(**row._mapping) for row in self.rows(query)]

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
        settled = calls.c.state.in_([CallState.REPLIED.value, CallState.FAILED.value])
        rows = self.rows(
            select(
                settled.label("settled"),
                func.count().label("calls"),
                func.sum(calls.c.prompt_tokens + calls.c.completion_tokens).label(
                    "tokens"
                ),
                func.sum(calls.c.reserved_tokens).label("reserved_tokens"),
                func.sum(calls.c.cost_usd).label("usd"),
                func.sum(calls.c.reserved_usd).label("reserved_usd"),
            )
            .where(calls.c.model != PERSON)
            .group_by(settled)
        )
        done = next((row for row in rows if row.settled), None)
        rest = next((row for row in rows if not row.settled), None)
        usd, uncertain = (
            (done.usd if done else 0.0),
            (rest.reserved_usd if rest else 0.0),
        )
        tokens = (done.tokens if done else 0) + (rest.reserved_tokens if rest else 0)
        return Spend(
            sum(row.calls for row in rows), tokens, usd + uncertain, usd, uncertain
        )

    def counts(self) -> dict[State, int]:
        """Return the number of proposals in each state, without the seed.

        Returns:
            State -> number, for states that occur.
        """
        query = (
            select(proposals.c.state, func.count().label("n"))
            .where(proposals.c.number > 0)
            .group_by(proposals.c.state)
        )
        return {State(row.state): row.n for row in self.rows(query)}

    def events(self, after: int = 0) -> list[Event]:
        """Return the events after a given one.

        Args:
            after: Id of an event; 0: from the beginning.

        Returns:
            Oldest first.
        """
        query = select(events).where(events.c.id > after).order_by(events.c.id)
        return [_event(row) for row in self.rows(query)]

    def events_between(
        self, after: int, limit: int, kinds: Sequence[str] = ()
    ) -> list[Event]:
        """Return the first events after a given one.

        Args:
            after: Id of an event; 0: from the beginning.
            limit: Maximum number of events.
            kinds: Kinds to return; empty: all. Applied before the limit.

        Returns:
            Oldest first.
        """
        query = (
            select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
        )
        wanted = query.where(events.c.kind.in_(kinds)) if kinds else query
        return [_event(row) for row in self.rows(wanted)]

    def latest_events(self, kinds: Iterable[str]) -> dict[str, Event]:
        """Return the newest event of each kind.

        Args:
            kinds: Kinds of events.

        Returns:
            Kind -> event, for kinds that occur.
        """
        newest = select(func.max(events.c.id)).where(events.c.kind.in_(list(kinds)))
        rows = self.rows(
            select(events).where(events.c.id.in_(newest.group_by(events.c.kind)))
        )
        return {row.kind: _event(row) for row in rows}

    def last_event_at(self) -> float | None:
        """Return the time of the newest event.

        Returns:
            Seconds since the epoch; None without events.
        """
        rows = self.rows(select(events.c.at).order_by(events.c.id.desc()).limit(1))
        return rows[0].at if rows else None

    def finished_since(self, moment: float) -> int:
        """Return how many variants were scored or failed at or after a time.

        Args:
            moment: Seconds since the epoch.

        Returns:
            Number of proposals.
        """
        states = [State.SCORED.value, State.FAILED.value]
        return int(
            self.rows(
                select(func.count())
                .select_from(proposals)
                .where(proposals.c.finished_at >= moment, proposals.c.state.in_(states))
            )[0][0]
        )

    def awaiting_their_turn(self) -> dict[str, int]:
        """Return unfinished proposals with a complete evaluation not yet recorded.

        Returns:
            Proposal id -> number of its latest attempt.
        """
        query = (
            select(events.c.proposal, events.c.data)
            .join(proposals, proposals.c.id == events.c.proposal)
            .where(
                events.c.kind == "evaluated",
                proposals.c.state == State.EVALUATING.value,
            )
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
            events.c.kind == State.PROPOSED.value, events.c.data.contains('"replaces"')
        )
        return [
            (row.proposal, json.loads(row.data)["replaces"]) for row in self.rows(query)
        ]

    def last_event(self) -> int:
        """Return the archive's clock: the id of the newest event, 0 if there is none.

        Returns:
            Id of the event.
        """
        return self.rows(select(func.max(events.c.id)))[0][0] or 0

    def _with_parents(
        self, rows: list[Row[Any]], short: bool = False
    ) -> list[Proposal]:
        few = len(rows) <= IDS_AT_ONCE
        return _proposals(
            rows, self._lineage([row.id for row in rows] if few else None), short
        )

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
        with storage_faults(self.path), self._engine.connect() as connection:
            return list(connection.execute(query).all())


_PLACE = {column.name: place for place, column in enumerate(proposals.columns)}
# the only field that is not a column
_PARENTS = [f.name for f in fields(Proposal)].index("parents")
_STATES = {state.value: state for state in State}
_KINDS = {kind.value: kind for kind in Kind}
_KEPT: dict[str | None, AddStatus | None] = {None: None} | {
    kept.value: kept for kept in AddStatus
}


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
    values[_PLACE["kept"]] = _KEPT[row[_PLACE["kept"]]]
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
