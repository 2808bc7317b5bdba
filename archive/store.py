"""Writing an archive: every state of a proposal in the transaction of its data."""

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
from evolve.archive.records import Call, CallState, Evaluation, Note, Proposal, State
from evolve.archive.schema import (
    calls,
    evaluations,
    events,
    meta,
    parents,
    proposals,
    vectors,
)
from evolve.archive.whole import make_whole

# Built once: only the bound values of a statement change.
_NEW_PROPOSAL, _NEW_PARENT = Prepared(insert(proposals)), Prepared(insert(parents))
_NEW_VECTOR, _NEW_EVALUATION = Prepared(insert(vectors)), Prepared(insert(evaluations))
_NEW_CALL, _NEW_EVENT = Prepared(insert(calls)), Prepared(insert(events))
_OF_ONE = update(proposals).where(proposals.c.id == bindparam("which"))
_THE_PROPOSAL = Prepared(_OF_ONE)
_THE_OPEN_PROPOSAL = Prepared(
    _OF_ONE.where(
        *(
            proposals.c.state != literal_column(f"'{state}'")
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


_OF_A_CALL = [c.name for c in calls.columns if c.name not in ("id", "sent_at")]
_SETTLED = (
    "state",
    "finish_reason",
    "error",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "seconds",
)


class StoredVector(NamedTuple):
    """A variant's packed vector and its source: "tokens", or the name of a model."""

    source: str
    data: bytes


class Archive(ArchiveReader):
    """The only writer of an archive. Each method is one atomic transaction.

    A method that adds an event returns the event's id. Every method that writes raises
    `StorageFull` when the disk is full, read-only or locked.
    """

    clock: Callable[[], float] = staticmethod(time.time)
    _kept: Connection | None = None  # between transactions of `together`

    @classmethod
    def create(cls, path: Path, facts: Mapping[str, str]) -> Self:
        """Create an empty archive.

        Args:
            path: The database file.
            facts: Key -> text: facts about the run.

        Returns:
            The archive, open for writing.

        Raises:
            ArchiveError: The database can't be created.
        """
        archive = cls(create_database(path), path)
        with archive._writing() as connection:
            for key, value in facts.items():
                connection.execute(insert(meta), {"key": key, "value": value})
        return archive

    @classmethod
    def open_to_write(cls, path: Path) -> Self:
        """Open an archive for its only writer and migrate it to the newest schema.

        Args:
            path: The database file.

        Returns:
            The archive, open for writing.

        Raises:
            ArchiveError: It is not an archive, or is newer than this code.
        """
        return cls(open_for_writing(path), path)

    def plan(self, *planned: Proposal) -> int:
        """Record a decision, for one child or several.

        Args:
            *planned: At least one proposal, with its parents.

        Returns:
            Id of the last event.
        """
        with self._writing() as connection:
            return [self._plan(connection, proposal) for proposal in planned][-1]

    def _plan(self, connection: Connection, proposal: Proposal) -> int:
        values = {name: getattr(proposal, name) for name in _OF_A_PROPOSAL}
        values |= {"state": State.PLANNED, "decision": proposal.decision.to_json()}
        _NEW_PROPOSAL.run(connection, values | {"measures": "{}"})
        for position, parent in enumerate(proposal.parents):
            row = {"child": proposal.id, "position": position, "parent": parent}
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
        """Record that a child's tree passed the checks and is in git.

        Args:
            proposal: Id of the proposal.
            tree: Hash of its tree.
            commit: Hash of its commit.
            note: What the operator did, in one line.
            rows: Evaluations of a first child that failed and is now replaced by its
                repair.
            replaces: Tree of that first child.

        Returns:
            Id of the event.
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
        """Record that a sandbox evaluates the proposal.

        Args:
            proposal: Id of the proposal.

        Returns:
            Id of the event.
        """
        return self._change(proposal, State.EVALUATING)

    def release(self, proposal: str) -> int:
        """Return a proposal to `proposed` after a fault of the machine.

        Args:
            proposal: Id of the proposal.

        Returns:
            Id of the event.
        """
        return self._change(proposal, State.PROPOSED)

    def score(
        self,
        done: Proposal,
        rows: Sequence[Evaluation],
        vector: StoredVector | None = None,
    ) -> int:
        """Record the score of a variant that was evaluated on every case that counts.

        Args:
            done: The proposal with the result of adding it: `kept`, `novelty`,
                `improvement`, `quarantined` and `measures`.
            rows: Its evaluations; none if they are stored.
            vector: Its vector for novelty; None stores none.

        Returns:
            Id of the event.
        """
        assert done.kept is not None
        facts = ("kept", "novelty", "improvement", "quarantined")
        values = {name: getattr(done, name) for name in facts}
        values["measures"] = json.dumps(dict(done.measures))
        with self._writing() as connection:
            self._insert_evaluations(connection, done.id, rows)
            if vector is not None:
                _NEW_VECTOR.run(connection, {"proposal": done.id, **vector._asdict()})
            kept = {"kept": done.kept}
            return self._end(connection, done.id, State.SCORED, kept, values)

    def evaluated(self, decision: str, variant: str, rows: Sequence[Evaluation]) -> int:
        """Record new evaluations of a scored variant and finish their decision.

        Args:
            decision: Id of the decision to evaluate.
            variant: Id of the variant.
            rows: The new evaluations.

        Returns:
            Id of the event.
        """
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
        """Record a fault of the candidate.

        Args:
            proposal: Id of the proposal.
            reason: The typed reason, in one word.
            message: The same in a sentence.
            log: The end of the candidate's output.
            rows: Its evaluations, if any.

        Returns:
            Id of the event.
        """
        return self._change(
            proposal, State.FAILED, rows, reason=reason, message=message, log=log
        )

    def reject(self, proposal: str, reason: str, message: str, note: str = "") -> int:
        """Record that a proposal is not a variant.

        It is unchanged, a duplicate, not parsable, or changes files outside the
        editable region.

        Args:
            proposal: Id of the proposal.
            reason: The typed reason, in one word or two.
            message: The same in a sentence.
            note: What the operator did, in one line.

        Returns:
            Id of the event.
        """
        return self._change(
            proposal, State.REJECTED, reason=reason, message=message, note=note
        )

    def add_evaluations(self, proposal: str, rows: Sequence[Evaluation]) -> int:
        """Add evaluations without a change of state.

        They wait until the proposal is recorded in its turn, or add to a finished
        variant.

        Args:
            proposal: Id of the proposal.
            rows: At least one evaluation.

        Returns:
            Id of the event.
        """
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
        """Record the calls of one request, with their reservations, before it leaves.

        Args:
            sent: The calls; their ids are ignored.

        Returns:
            The ids assigned to them.
        """
        with self._writing() as connection:
            return [self._send(connection, call) for call in sent]

    def _send(self, connection: Connection, call: Call) -> int:
        values = {name: getattr(call, name) for name in _OF_A_CALL}
        values |= {"request": pack_text(call.request), "sent_at": self.clock()}
        return _NEW_CALL.run(connection, values | {"reply": _packed(call.reply)})

    def settle_calls(self, settled: Sequence[Call]) -> int:
        """Record replies, their cost and their proposals' states in one transaction.

        So no reply is paid for twice.

        Args:
            settled: At least one call, with its final state.

        Returns:
            Id of the last event.
        """
        with self._writing() as connection:
            return [self._settle(connection, call) for call in settled][-1]

    def _settle(self, connection: Connection, call: Call) -> int:
        settled = {name: getattr(call, name) for name in _SETTLED}
        settled |= {"which": call.id, "reply": _packed(call.reply)}
        _THE_CALL.run(connection, settled)
        if call.state is CallState.REPLIED and call.purpose.writes_code:
            replied = {"which": call.proposal, "state": State.REPLIED}
            _THE_OPEN_PROPOSAL.run(connection, replied)
        data = {name: getattr(call, name) for name in ("state", "model", "cost_usd")}
        return self._event(connection, "call", call.proposal, data)

    def expire_calls(self) -> int:
        """Mark calls with an unknown result as uncertain after a crash: still charged.

        Returns:
            Number of calls.
        """
        with self._writing() as connection:
            result = connection.execute(
                update(calls)
                .where(calls.c.state == CallState.SENT)
                .values(state=CallState.UNCERTAIN)
            )
            return result.rowcount

    def take_notes(self, note: Note) -> int:
        """Store notes on the search for later prompts.

        Args:
            note: The note.

        Returns:
            Id of the event.
        """
        return self.note_event(NOTES, asdict(note))

    def note_event(self, kind: str, data: Mapping[str, Any]) -> int:
        """Record an event of the run itself: started, waiting, stopped, flags.

        Args:
            kind: Kind of the event.
            data: Stored as JSON.

        Returns:
            Id of the event.
        """
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
        """Add the event of a change, set the proposal's state, return the event id."""
        event = self._event(connection, state, proposal, data)
        ended = (
            {"finished_at": self.clock(), "finished_event": event}
            if state.finished
            else {}
        )
        _THE_PROPOSAL.run(
            connection, {"which": proposal, "state": state, **values, **ended}
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
        """Context manager: join all writes inside into one atomic transaction.

        It survives the end of this process. Until `sync`, a power failure may still
        lose it: never in part, and never without the transactions after it.

        Raises:
            StorageFull: The disk can't be written.
            ArchiveError: Any other fault of the database.
        """
        connection = self._connection()
        # through the driver: SQLAlchemy's transaction costs as much as a row
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
                # a query inside makes SQLAlchemy assume an open transaction, too
                if connection.in_transaction():
                    connection.rollback()

    def sync(self) -> None:
        """Wait until the disk has everything that was committed.

        Raises:
            StorageFull: The disk can't be written.
        """
        sync_log(self.path)

    def close(self) -> None:
        """Close all connections to the database."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        super().close()
        make_whole(self.path)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._shared is not None:
            yield self._shared
            return
        with self.together():
            yield self._connection()
        self.sync()

    def _connection(self) -> Connection:
        """Return the one connection for all writes."""
        if self._kept is None:
            self._kept = self._engine.connect()
            do_not_wait_for_disk(self._kept)
        return self._kept


def _packed(text: str | None) -> bytes | None:
    return None if text is None else pack_text(text)
