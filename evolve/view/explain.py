"""Why a proposal counts or does not, and what a model was asked for: in words, for every view."""

from __future__ import annotations

from evolve.archive import AddStatus, Call, Proposal, State, bans
from evolve.models import place_of
from evolve.runs.reader import OpenRun

_KEPT = {
    AddStatus.BEST: "kept: better than every variant before it",
    AddStatus.IMPROVED: "kept: better than its parents",
    AddStatus.KEPT: "kept: every scored variant is; it is not better than its parents",
}


def why(run: OpenRun, proposal: Proposal) -> str:
    """What became of it, in a line."""
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
        return "evaluated: more is known about its parent"
    return "not finished" if proposal.kept is None else _KEPT[proposal.kept]


def what_for(call: Call) -> str:
    """A call's purpose in a word or two."""
    place = place_of(call)
    if place is not None:
        purpose, attempt, step = place
        return f"{purpose}{f', attempt {attempt}' if attempt else ''}, step {step}:"
    return call.purpose.value
