"""Outcomes of decisions: the input for choosing operators and models and for notes."""

from typing import NamedTuple

from evolve.archive.reader import ArchiveReader
from evolve.archive.records import Proposal, State


class Outcome(NamedTuple):
    """The result of one finished proposal.

    Attributes:
        number: Number of the decision.
        gain: Improvement over the best parent; 0 without one, or if quarantined.
        tokens: Prompt and completion tokens of all calls.
        reason: Why it failed or was rejected.
        note: What the operator did; empty for a rejected proposal.
    """

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
    """Model, tokens and cost of the calls of one proposal.

    Reservations of lost calls are left out: a run that was killed decides like one that
    was not.
    """

    model: str | None = None
    tokens: int = 0
    cost_usd: float = 0.0

    def and_call(self, model: str, tokens: int, cost_usd: float) -> "Spent":
        """Return the sum with one more call.

        Args:
            model: Model of the call; it replaces the earlier one.
            tokens: Prompt and completion tokens.
            cost_usd: Cost of the call.

        Returns:
            A new sum.
        """
        return Spent(model, self.tokens + tokens, self.cost_usd + cost_usd)


def outcome_of(proposal: Proposal, spent: Spent) -> Outcome:
    """Return the outcome of a finished proposal.

    Args:
        proposal: The proposal; if quarantined, its gain is 0.
        spent: The sum of its calls.

    Returns:
        The outcome; its model is the chosen one, or else the one that replied.
    """
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
    """Return the sums of calls by proposal id.

    Args:
        archive: The archive to read.

    Returns:
        An entry for every proposal that has calls.
    """
    found: dict[str, Spent] = {}
    for call in archive.call_costs():
        spent = found.get(call.proposal, Spent())
        found[call.proposal] = spent.and_call(call.model, call.tokens, call.cost_usd)
    return found
