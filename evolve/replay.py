"""Following a record: the same decisions, the same replies, evaluated anew, at no cost."""

from __future__ import annotations

from dataclasses import dataclass

from archive import ArchiveReader, Call, Evaluation, Proposal, Snapshot
from evolve.search import Decision, Skip, Stop, recorded_decision


@dataclass(frozen=True)
class Record:
    """What a run decided, was answered, and stored."""

    proposals: dict[int, Proposal]  # by decision number
    calls: list[Call]
    repaired: frozenset[str]  # proposals whose first child was evaluated, failed, and was replaced
    scores: dict[str, float]

    @classmethod
    def read(cls, archive: ArchiveReader) -> Record:
        """What is not finished (a budget came between) is left out: it has no children."""
        proposals = {p.number: p for p in archive.proposals() if p.state.finished}
        with_calls = {call.proposal for call in archive.calls() if call.round == 1}
        repaired = {found for found in with_calls if _has_second(archive.evaluations(found))}
        return cls(proposals, archive.calls(), frozenset(repaired), archive.scores())

    def decide(self, number: int, snapshot: Snapshot) -> Decision | Skip | None:
        """The recorded decision; None until its parents are scored here, too."""
        if number > max(self.proposals):
            return Stop("the record has ended")
        if number not in self.proposals:
            return Skip()
        recorded = self.proposals[number]
        if any(parent not in snapshot for parent in recorded.parents):
            return None
        return recorded_decision(recorded)

    def duplicate(self, proposal: Proposal, tree: str, round_: int) -> str | None:
        """Whether this very child was turned away then; who came first is not decided again."""
        recorded = self.proposals[proposal.number]
        stood = recorded.tree == tree or (round_ == 0 and proposal.id in self.repaired)
        return None if stood else "another proposal of the record"

    def differences(self, archive: ArchiveReader) -> list[str]:
        """Ids whose tree, state or score came out differently, with what differs."""
        scores = archive.scores()
        again = {p.id: p for p in archive.proposals()}
        found = []
        for recorded in self.proposals.values():
            new = again.get(recorded.id)
            if new is None:
                found.append(f"{recorded.id}: is missing")
            elif (new.state, new.tree) != (recorded.state, recorded.tree):
                found.append(f"{recorded.id}: {recorded.state} became {new.state}"
                             if new.state != recorded.state else f"{recorded.id}: other files")
            elif scores.get(new.id) != self.scores.get(new.id):
                found.append(f"{new.id}: score {self.scores.get(new.id)!r} became "
                             f"{scores.get(new.id)!r}")
        return found


def _has_second(rows: list[Evaluation]) -> bool:
    return any(row.attempt > 0 for row in rows)
