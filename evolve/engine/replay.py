"""Replay of a record: the same decisions and replies, evaluated again, without model calls."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from evolve.archive import (
    ArchiveReader,
    Call,
    CallPurpose,
    Evaluation,
    Proposal,
    Snapshot,
    State,
)
from evolve.engine.ordering import Order
from evolve.search import Action, Skip, Stop, recorded_decision

OTHER = "another proposal of the record"


@dataclass(frozen=True)
class Record:
    """The decisions, model calls and results of a recorded run.

    Attributes:
        proposals: Finished proposals by decision number.
        calls: All model calls.
        repaired: Ids of proposals whose first child failed in evaluation and was replaced.
        scores: Scores by id of the variant.
        last: Number of the last decision.
    """

    proposals: dict[int, Proposal]
    calls: list[Call]
    repaired: frozenset[str]
    scores: dict[str, float]
    last: int

    @classmethod
    def read(cls, archive: ArchiveReader) -> "Record":
        """Read a record.

        Unfinished proposals, such as those that a budget ended, are omitted: they have no
        children.

        Args:
            archive: The archive of the recorded run.

        Returns:
            The record.
        """
        proposals = {p.number: p for p in archive.proposals() if p.state.finished}
        calls = archive.calls()
        with_repair = {
            call.proposal for call in calls if call.purpose is CallPurpose.REPAIR
        }
        # archives of early versions have no event for it
        repaired = {proposal for proposal, _ in archive.replaced_trees()} | {
            found
            for found in with_repair
            if any(row.attempt > 0 for row in archive.evaluations(found))
        }
        return cls(
            proposals,
            calls,
            frozenset(repaired),
            archive.scores(),
            max(proposals, default=0),
        )

    def rows(self, archive: ArchiveReader) -> dict[tuple[str, str, int], Evaluation]:
        """Return the recorded evaluations.

        Args:
            archive: The archive of the recorded run.

        Returns:
            By variant, case and attempt.
        """
        return {
            (variant.id, row.case, row.attempt): row
            for variant in self.proposals.values()
            for row in archive.evaluations(variant.id)
        }

    def decide(self, number: int, snapshot: Snapshot) -> Action | Skip | None:
        """Return the recorded decision.

        Args:
            number: Number of the decision.
            snapshot: Scored variants of the replay.

        Returns:
            The action; `Stop` after the last one, `Skip` if there is none under this
            number, None until its parents are scored in the replay.
        """
        if number > self.last:
            return Stop("the record has ended")
        if number not in self.proposals:
            return Skip()
        recorded = self.proposals[number]
        if any(parent not in snapshot for parent in recorded.parents):
            return None
        return recorded_decision(recorded)

    def differences(self, archive: ArchiveReader) -> list[str]:
        """Compare a replay with the record.

        Args:
            archive: The archive of the replay.

        Returns:
            One line for each proposal whose tree, state or score differs: its id and the
            difference.
        """
        scores = archive.scores()
        again = {p.id: p for p in archive.proposals()}
        found = []
        for recorded in self.proposals.values():
            new = again.get(recorded.id)
            if new is None:
                found.append(f"{recorded.id}: is missing")
            elif (new.state, new.tree) != (recorded.state, recorded.tree):
                found.append(
                    f"{recorded.id}: {recorded.state} became {new.state}"
                    if new.state != recorded.state
                    else f"{recorded.id}: other files"
                )
            elif scores.get(new.id) != self.scores.get(new.id):
                found.append(
                    f"{new.id}: score {self.scores.get(new.id)!r} became "
                    f"{scores.get(new.id)!r}"
                )
        return found


class AsRecorded(Order):
    """The ordering of a replay: results and duplicates as in the record.

    Args:
        record: The record that is replayed.
    """

    def __init__(self, record: Record) -> None:
        ended = sorted(record.proposals.values(), key=lambda p: p.finished_event or 0)
        self._record = record
        self._turns = deque(p.number for p in ended if p.number > 0)

    def due(self, waiting: Collection[int]) -> int | None:
        """Return the next number in the order of the record; None if it is not in `waiting`."""
        return self._turns[0] if self._turns and self._turns[0] in waiting else None

    def recorded(self, number: int) -> None:
        """Advance to the next number in the order of the record."""
        self._turns.popleft()

    def early(self, proposal: Proposal, tree: str, purpose: CallPurpose) -> str | None:
        """Return None if the child was evaluated in the recorded run; else `OTHER`."""
        recorded = self._record.proposals[proposal.number]
        stood = recorded.tree == tree or (
            purpose is CallPurpose.PROPOSE and proposal.id in self._record.repaired
        )
        return None if stood else OTHER

    def repairs(self, proposal: Proposal) -> bool:
        """Return whether a repair replaced its first child in the recorded run."""
        return proposal.id in self._record.repaired

    def late(self, proposal: Proposal) -> str | None:
        """Return `OTHER` if the recorded run rejected the proposal; else None."""
        recorded = self._record.proposals[proposal.number]
        return OTHER if recorded.state is State.REJECTED else None
