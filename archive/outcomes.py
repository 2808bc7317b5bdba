"""What came of each decision: from these columns operators and models are chosen, and notes written."""

from __future__ import annotations

from typing import NamedTuple

from evolve.archive.reader import ArchiveReader
from evolve.archive.records import Proposal, State


class Outcome(NamedTuple):
    """One finished proposal. `gain` is what it scored above its parents, 0 where it did not."""

    number: int
    operator: str
    model: str | None
    state: State
    gain: float
    tokens: int
    cost_usd: float
    reason: str | None
    note: str


class Spent(NamedTuple):
    """Calls of one proposal: who answered, and what they used.

    Reservations of lost calls are left out: a run that was killed decides as one that was not.
    """

    model: str | None = None
    tokens: int = 0
    cost_usd: float = 0.0

    def and_call(self, model: str, tokens: int, cost_usd: float) -> Spent:
        """With one more."""
        return Spent(model, self.tokens + tokens, self.cost_usd + cost_usd)


def outcome_of(proposal: Proposal, spent: Spent) -> Outcome:
    """The row of a finished proposal; a quarantined one has gained nothing."""
    gain = 0.0 if proposal.quarantined else max(proposal.improvement or 0.0, 0.0)
    note = "" if proposal.state is State.REJECTED else proposal.note
    return Outcome(
        proposal.number,
        proposal.operator,
        proposal.model or spent.model,
        proposal.state,
        gain,
        spent.tokens,
        spent.cost_usd,
        proposal.reason,
        note,
    )


def spent_by_proposal(archive: ArchiveReader) -> dict[str, Spent]:
    """For every proposal that has calls."""
    found: dict[str, Spent] = {}
    for call in archive.call_costs():
        spent = found.get(call.proposal, Spent())
        found[call.proposal] = spent.and_call(call.model, call.tokens, call.cost_usd)
    return found
