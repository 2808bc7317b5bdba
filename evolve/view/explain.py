"""Explanations for all views: a proposal's verdict, and the purpose of a call."""

from evolve.archive import AddStatus, Call, Proposal, State, bans
from evolve.models import place_of
from evolve.runs.reader import OpenRun

_KEPT = {
    AddStatus.BEST: "kept: when it was first scored, better than every variant before it",
    AddStatus.IMPROVED: "kept: when it was first scored, better than its parents",
    AddStatus.KEPT: "kept: every scored variant is; it was not better than its parents",
}


def why(run: OpenRun, proposal: Proposal) -> str:
    """Explain the verdict on a proposal.

    Args:
        run: the open run
        proposal: one of its proposals

    Returns:
        One line.
    """
    if proposal.quarantined:
        ban = bans(run.archive).get(proposal.id)
        if ban is None or ban.doubted:
            return (
                "quarantined: above the proved bound of the task, so the scorer is at fault and it "
                "counts for nothing"
            )
        who = "banned by a person" if ban.by_person else "flagged in a promotion"
        return f"{who}, so it counts for nothing{f': {ban.text}' if ban.text else ''}"
    if proposal.state in (State.FAILED, State.REJECTED):
        return f"{proposal.state}: {proposal.reason}: {proposal.message}"
    if proposal.state is State.EVALUATED:
        return "evaluated: further scores of its parent"
    return "not finished" if proposal.kept is None else _KEPT[proposal.kept]


def what_for(call: Call) -> str:
    """Describe the purpose of a call.

    Args:
        call: any call

    Returns:
        A few words, such as "repair" or "case NAME, step 3: call".
    """
    place = place_of(call)
    if place is not None:
        purpose, attempt, step = place
        return f"{purpose}{f', attempt {attempt}' if attempt else ''}, step {step}:"
    return call.purpose.value
