"""Steps of tuning: which numbers were tried on which variant, and what each one gave."""

from typing import NamedTuple

from evolve.archive.records import Proposal, State


class Step(NamedTuple):
    """Numbers that were, or will be, tried.

    Attributes:
        parent: Id of the variant whose numbers are changed.
        literals: Pairs (position of the literal, new number).
        gain: Improvement over the parent; None if it failed, was rejected or
            quarantined, or is in flight.
    """

    parent: str
    literals: tuple[tuple[int, float], ...]
    gain: float | None = None


class Steps:
    """The steps of a run.

    Attributes:
        ended: In order of their results.
        planned: Decision number -> step, of those in flight.
    """

    def __init__(self) -> None:
        self.ended: list[Step] = []
        self.planned: dict[int, Step] = {}

    def plan(self, proposal: Proposal) -> None:
        """Add a decided proposal, if it is a step.

        Args:
            proposal: Any proposal.
        """
        if proposal.decision.literals:
            step = Step(proposal.parents[0], proposal.decision.literals)
            self.planned[proposal.number] = step

    def end(self, proposal: Proposal) -> None:
        """Add the result of a proposal, if it is a step.

        Args:
            proposal: A finished proposal.
        """
        if not proposal.decision.literals:
            return
        self.planned.pop(proposal.number, None)
        scored = proposal.state is State.SCORED and not proposal.quarantined
        gain = proposal.improvement if scored else None
        self.ended.append(Step(proposal.parents[0], proposal.decision.literals, gain))
