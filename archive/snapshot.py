"""What policies see: scored variants in columns, loaded once and kept up to date by what is written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archive.outcomes import Outcome, Spent, outcome_of, spent_by_proposal
from archive.reader import ArchiveReader
from archive.records import Call, Proposal, State


class Snapshot:
    """Columns over the scored variants of a run, in the order in which they were scored.

    `value` is the score with its sign turned so that higher is better. Policies only read.
    """

    def __init__(self, maximize: bool) -> None:
        self.sign = 1.0 if maximize else -1.0
        self.proposals: list[Proposal] = []
        self.last_event = 0
        self._best: int | None = None
        self._row: dict[str, int] = {}
        self._failed: dict[str, list[str]] = {}
        self._scored: dict[str, list[int]] = {}  # first parent -> rows of its children
        self.outcomes: list[Outcome] = []  # of everything that is finished, in that order
        self._spent: dict[str, Spent] = {}
        self.notes: int | None = None  # the number of the newest notes
        self._value = np.empty(64)
        self._children = np.zeros(64, dtype=np.int64)
        self._trusted = np.zeros(64, dtype=np.bool_)

    @classmethod
    def load(cls, archive: ArchiveReader, maximize: bool) -> Snapshot:
        """Everything the database has; equal to a snapshot that saw every write."""
        snapshot = cls(maximize)
        scores = archive.scores()
        everything = archive.proposals()
        snapshot._spent = spent_by_proposal(archive)
        finished = [p for p in everything if p.state.finished]
        for proposal in sorted(finished, key=lambda p: p.finished_event or 0):
            if proposal.state is State.SCORED:
                snapshot.add(proposal, scores[proposal.id])
            elif proposal.state is State.FAILED:
                snapshot.fail(proposal)
            else:
                snapshot.turn_away(proposal)
        for proposal in everything:
            if proposal.state is not State.REJECTED:
                snapshot.expect(proposal.parents)
        snapshot.notes = max((note.number for note in archive.notes()), default=None)
        snapshot.last_event = archive.last_event()
        return snapshot

    def __len__(self) -> int:
        return len(self.proposals)

    def __contains__(self, proposal: str) -> bool:
        return proposal in self._row

    @property
    def values(self) -> NDArray[np.float64]:
        """Shape (n,): scores, higher is better."""
        return self._value[:len(self)]

    @property
    def children(self) -> NDArray[np.int64]:
        """Shape (n,): proposals made from each, pending and failed ones included, rejected not."""
        return self._children[:len(self)]

    @property
    def trusted(self) -> NDArray[np.int64]:
        """Rows that are not quarantined; all rows where every one is."""
        rows = np.flatnonzero(self._trusted[:len(self)])
        return rows if len(rows) else np.arange(len(self))

    def proposal(self, proposal: str) -> Proposal:
        """The record of a scored variant. Raises `KeyError`."""
        return self.proposals[self._row[proposal]]

    def value_of(self, proposal: str) -> float:
        """The value of a scored variant. Raises `KeyError`."""
        return float(self._value[self._row[proposal]])

    def score_of(self, proposal: str) -> float:
        """The score as the task gives it. Raises `KeyError`."""
        return self.value_of(proposal) * self.sign

    def add(self, proposal: Proposal, score: float) -> None:
        """A variant was scored. Its own decision was counted with its parents by `expect`."""
        row = len(self)
        if row == len(self._value):
            self._value = np.concatenate([self._value, np.empty_like(self._value)])
            self._children = np.concatenate([self._children, np.zeros_like(self._children)])
            self._trusted = np.concatenate([self._trusted, np.zeros_like(self._trusted)])
        self._value[row] = score * self.sign
        self._children[row] = 0
        self._trusted[row] = not proposal.quarantined
        self._row[proposal.id] = row
        self.proposals.append(proposal)
        for parent in proposal.parents[:1]:
            self._scored.setdefault(parent, []).append(row)
        self._ended(proposal)
        if not proposal.quarantined and (
                self._best is None or self._value[row] > self._value[self._best]):
            self._best = row

    def expect(self, parents: Sequence[str]) -> None:
        """A child was planned: it counts for its parents at once, so that slots spread out."""
        for parent in set(parents):
            self._children[self._row[parent]] += 1

    def release(self, parents: Sequence[str]) -> None:
        """That child was rejected: it never became a variant."""
        for parent in set(parents):
            self._children[self._row[parent]] -= 1

    def fail(self, proposal: Proposal) -> None:
        """It was evaluated and has no score: its first parent's next children may learn from it."""
        for parent in proposal.parents[:1]:
            self._failed.setdefault(parent, []).append(proposal.id)
        self._ended(proposal)

    def turn_away(self, proposal: Proposal) -> None:
        """It was rejected: no variant, but it has cost something."""
        self._ended(proposal)

    def charge(self, call: Call) -> None:
        """A call of a proposal is settled."""
        self._spent[call.proposal] = self._spent.get(call.proposal, Spent()).and_call(
            call.model, call.state, (call.prompt_tokens + call.completion_tokens, call.cost_usd),
            (call.reserved_tokens, call.reserved_usd))

    def _ended(self, proposal: Proposal) -> None:
        if proposal.number > 0:
            self.outcomes.append(outcome_of(proposal, self._spent.get(proposal.id, Spent())))

    def children_of(self, parent: str) -> list[Proposal]:
        """Scored variants whose first parent it is, oldest first."""
        return [self.proposals[row] for row in self._scored.get(parent, [])]

    def failures_of(self, parent: str, count: int) -> list[str]:
        """The latest failed children of a variant (ids), newest first."""
        return self._failed.get(parent, [])[:-count - 1:-1]

    def best(self) -> Proposal | None:
        """The scored variant of highest value that is not quarantined; the earliest of equals."""
        return None if self._best is None else self.proposals[self._best]

    def since_best(self) -> int:
        """How many variants were scored after the best one."""
        return 0 if self._best is None else len(self) - 1 - self._best

    def top(self, count: int) -> list[Proposal]:
        """The best that are not quarantined, best first."""
        order = np.argsort(-self.values, kind="stable")
        trusted = (self.proposals[row] for row in order if not self.proposals[row].quarantined)
        return list(itertools.islice(trusted, count))
