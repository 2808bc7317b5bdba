"""Writing an archive: every state of a proposal in the transaction of its data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, bindparam, insert, literal_column, update

from evolve.archive.database import (
    create_database,
    do_not_wait_for_disk,
    driver_of,
    open_for_writing,
    storage_faults,
    sync_log,
)
from evolve.archive.prepared import Prepared
from evolve.archive.reader import NOTES, ArchiveReader, pack_text
from evolve.archive.records import (
    AddStatus,
    Call,
    CallState,
    Evaluation,
    Note,
    Proposal,
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

# Built once: what a statement says does not change, only what is bound to it.
_NEW_PROPOSAL, _NEW_PARENT = Prepared(insert(proposals)), Prepared(insert(parents))
_NEW_VECTOR, _NEW_EVALUATION = Prepared(insert(vectors)), Prepared(insert(evaluations))
_NEW_CALL, _NEW_EVENT = Prepared(insert(calls)), Prepared(insert(events))
_OF_ONE = update(proposals).where(proposals.c.id == bindparam("which"))
_THE_PROPOSAL = Prepared(_OF_ONE)
_THE_OPEN_PROPOSAL = Prepared(
    _OF_ONE.where(
        *(
            proposals.c.state != literal_column(f"'{state.value}'")
            for state in State
            if state.finished
        )
    )
)
_THE_CALL = Prepared(update(calls).where(calls.c.id == bindparam("which")))
_OF_A_PROPOSAL = [c.name for c in proposals.columns]
_OF_AN_EVALUATION = [
    c.name for c in evaluations.columns if c.name not in ("id", "proposal", "case_id")
]


class StoredVector(NamedTuple):
    """A variant's vector and what made it: "tokens", or the name of a model."""

    source: str
    data: bytes


class Archive(ArchiveReader):
    """The one writer. Each method is one transaction: all of it is kept, or none."""

    clock: Callable[[], float] = staticmethod(time.time)
    _kept: Connection | None = None  # between transactions of `together`

    @classmethod
    def create(cls, path: Path, facts: Mapping[str, str]) -> Self:
        """A new, empty archive with facts about its run. Raises `ArchiveError`."""
        archive = cls(create_database(path), path)
        with archive._writing() as connection:
            for key, value in facts.items():
                connection.execute(insert(meta), {"key": key, "value": value})
        return archive

    @classmethod
    def open_to_write(cls, path: Path) -> Self:
        """An existing archive, migrated to the newest schema. Raises `ArchiveError`."""
        return cls(open_for_writing(path), path)

    def plan(self, *planned: Proposal) -> int:
        """A decision was taken, for one child or several; returns the last event's id."""
        with self._writing() as connection:
            return [self._plan(connection, proposal) for proposal in planned][-1]

    def _plan(self, connection: Connection, proposal: Proposal) -> int:
        values = {name: getattr(proposal, name) for name in _OF_A_PROPOSAL}
        _NEW_PROPOSAL.run(
            connection,
            values
            | {
                "state": State.PLANNED.value,
                "decision": proposal.decision.to_json(),
                "kind": proposal.kind.value,
                "measures": "{}",
            },
        )
        rows = [
            {"child": proposal.id, "position": position, "parent": parent}
            for position, parent in enumerate(proposal.parents)
        ]
        for row in rows:
            _NEW_PARENT.run(connection, row)
        return self._event(
            connection, "planned", proposal.id, {"number": proposal.number}
        )

    def propose(
        self,
        proposal: str,
        tree: str,
        commit: str,
        note: str,
        rows: Sequence[Evaluation] = (),
        replaces: str | None = None,
    ) -> int:
        """The child's tree passed the checks and is in git.

        `rows` are those of a first child that failed, `replaces` is its tree.
        """
        return self._change(
            proposal,
            State.PROPOSED,
            rows,
            {"replaces": replaces} if replaces else {},
            tree=tree,
            commit=commit,
            note=note,
        )

    def evaluating(self, proposal: str) -> int:
        """A sandbox is at work on it."""
        return self._change(proposal, State.EVALUATING)

    def release(self, proposal: str) -> int:
        """The machine failed, not the candidate: back to `proposed`."""
        return self._change(proposal, State.PROPOSED)

    def score(
        self,
        proposal: str,
        rows: Sequence[Evaluation],
        kept: AddStatus,
        novelty: float,
        improvement: float | None,
        quarantined: bool = False,
        measures: Mapping[str, float] | None = None,
        vector: StoredVector | None = None,
    ) -> int:
        """It was evaluated on every case that counts."""
        with self._writing() as connection:
            self._insert_evaluations(connection, proposal, rows)
            if vector is not None:
                _NEW_VECTOR.run(
                    connection,
                    {
                        "proposal": proposal,
                        "source": vector.source,
                        "data": vector.data,
                    },
                )
            return self._end(
                connection,
                proposal,
                State.SCORED,
                {"kept": kept.value},
                {
                    "kept": kept.value,
                    "novelty": novelty,
                    "improvement": improvement,
                    "quarantined": quarantined,
                    "measures": json.dumps(dict(measures or {})),
                },
            )

    def evaluated(self, decision: str, variant: str, rows: Sequence[Evaluation]) -> int:
        """More was learned about a scored variant: the rows, and the end of that decision."""
        with self._writing() as connection:
            self._insert_evaluations(connection, variant, rows)
            return self._end(connection, decision, State.EVALUATED, {}, {})

    def fail(
        self,
        proposal: str,
        reason: str,
        message: str,
        log: str,
        rows: Sequence[Evaluation] = (),
    ) -> int:
        """The candidate's own fault, with the tail of its log."""
        return self._change(
            proposal, State.FAILED, rows, reason=reason, message=message, log=log
        )

    def reject(self, proposal: str, reason: str, message: str, note: str = "") -> int:
        """It is no variant: unchanged, a duplicate, not parsable, outside the editable region."""
        return self._change(
            proposal, State.REJECTED, reason=reason, message=message, note=note
        )

    def add_evaluations(self, proposal: str, rows: Sequence[Evaluation]) -> int:
        """Rows without a change of state: they wait for their turn, or add to a finished variant."""
        with self._writing() as connection:
            self._insert_evaluations(connection, proposal, rows)
            return self._event(
                connection,
                "evaluated",
                proposal,
                {
                    "cases": [row.case for row in rows],
                    "attempt": max(row.attempt for row in rows),
                },
            )

    def send_calls(self, sent: Sequence[Call]) -> list[int]:
        """Reserve and record the calls of one request before it leaves; returns their ids."""
        with self._writing() as connection:
            return [self._send(connection, call) for call in sent]

    def _send(self, connection: Connection, call: Call) -> int:
        return _NEW_CALL.run(
            connection,
            {
                "proposal": call.proposal,
                "purpose": call.purpose.value,
                "step": call.step,
                "attempt": call.attempt,
                "model": call.model,
                "state": CallState.SENT.value,
                "request": pack_text(call.request),
                "reserved_tokens": call.reserved_tokens,
                "reserved_usd": call.reserved_usd,
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "cost_usd": 0.0,
                "sent_at": self.clock(),
                "seconds": 0.0,
            },
        )

    def settle_calls(self, settled: Sequence[Call]) -> int:
        """Replies and what they cost, with the proposals' states, at once: never paid twice."""
        with self._writing() as connection:
            return [self._settle(connection, call) for call in settled][-1]

    def _settle(self, connection: Connection, call: Call) -> int:
        _THE_CALL.run(
            connection,
            {
                "which": call.id,
                "state": call.state.value,
                "finish_reason": call.finish_reason,
                "error": call.error,
                "reply": None if call.reply is None else pack_text(call.reply),
                "prompt_tokens": call.prompt_tokens,
                "completion_tokens": call.completion_tokens,
                "cost_usd": call.cost_usd,
                "seconds": call.seconds,
            },
        )
        if call.state is CallState.REPLIED and call.purpose.writes_code:
            _THE_OPEN_PROPOSAL.run(
                connection, {"which": call.proposal, "state": State.REPLIED.value}
            )
        return self._event(
            connection,
            "call",
            call.proposal,
            {"state": call.state.value, "model": call.model, "cost_usd": call.cost_usd},
        )

    def expire_calls(self) -> int:
        """After a crash: calls whose fate is unknown stay charged. Returns how many."""
        with self._writing() as connection:
            result = connection.execute(
                update(calls)
                .where(calls.c.state == CallState.SENT.value)
                .values(state=CallState.UNCERTAIN.value)
            )
            return result.rowcount

    def take_notes(self, note: Note) -> int:
        """Keep notes about the search, for later prompts."""
        return self.note_event(NOTES, asdict(note))

    def note_event(self, kind: str, data: Mapping[str, Any]) -> int:
        """Something about the run itself: started, waiting, stopped, signs."""
        with self._writing() as connection:
            return self._event(connection, kind, None, data)

    def _change(
        self,
        proposal: str,
        state: State,
        rows: Sequence[Evaluation] = (),
        facts: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> int:
        with self._writing() as connection:
            self._insert_evaluations(connection, proposal, rows)
            data = {key: values[key] for key in ("reason", "note") if values.get(key)}
            return self._end(
                connection, proposal, state, data | dict(facts or {}), values
            )

    def _end(
        self,
        connection: Connection,
        proposal: str,
        state: State,
        data: Mapping[str, Any],
        values: Mapping[str, Any],
    ) -> int:
        """The event of a change, and the proposal's new state; returns the event's id."""
        event = self._event(connection, state.value, proposal, data)
        ended = (
            {"finished_at": self.clock(), "finished_event": event}
            if state.finished
            else {}
        )
        _THE_PROPOSAL.run(
            connection, {"which": proposal, "state": state.value, **values, **ended}
        )
        return event

    def _insert_evaluations(
        self, connection: Connection, proposal: str, rows: Sequence[Evaluation]
    ) -> None:
        for row in rows:
            _NEW_EVALUATION.run(
                connection,
                {name: getattr(row, name, None) for name in _OF_AN_EVALUATION}
                | {
                    "proposal": proposal,
                    "case_id": row.case,
                    "created_at": self.clock(),
                    "metrics": json.dumps(dict(row.metrics)),
                },
            )

    def _event(
        self,
        connection: Connection,
        kind: str,
        proposal: str | None,
        data: Mapping[str, Any],
    ) -> int:
        return _NEW_EVENT.run(
            connection,
            {
                "at": self.clock(),
                "kind": kind,
                "proposal": proposal,
                "data": json.dumps(dict(data)),
            },
        )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything asked inside is one transaction: all of it is kept, or none.

        It survives the end of this process, but may be lost, whole and as the last, when the machine
        loses its power before `sync`.
        """
        connection = self._connection()
        # SQLAlchemy's own transaction costs as much as a row
        driver = driver_of(connection)
        with storage_faults(self.path):
            driver.execute("BEGIN IMMEDIATE")
            self._shared = connection
            try:
                yield
                driver.commit()
            except BaseException:
                driver.rollback()
                raise
            finally:
                self._shared = None
                # a query inside made SQLAlchemy count it, too
                if connection.in_transaction():
                    connection.rollback()

    def sync(self) -> None:
        """Wait until the disk has what was committed. Raises `StorageFull`."""
        sync_log(self.path)

    def close(self) -> None:
        """Give the database back."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        super().close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._shared is not None:
            yield self._shared
            return
        with self.together():
            yield self._connection()
        self.sync()

    def _connection(self) -> Connection:
        """One for all that is written."""
        if self._kept is None:
            self._kept = self._engine.connect()
            do_not_wait_for_disk(self._kept)
        return self._kept
