"""Progress of a live run, and the protocol of its observers."""

from dataclasses import dataclass
from typing import Protocol

from evolve.archive import Proposal, Spend


@dataclass(frozen=True)
class Progress:
    """The state of a run at one moment.

    Attributes:
        scored: Number of scored variants, without the seed.
        failed: Number of failed variants.
        rejected: Number of rejected proposals.
        in_flight: Number of proposals that are started and not finished.
        best: The best variant; None before the first score.
        best_score: Its score; None before the first score.
        spend: Cost and tokens of the run, with reservations.
        seconds: Time since this process started or resumed the run.
        stalls: Number of times that the window delayed a decision.
        staleness: Moving average of the number of variants that were scored between a
            decision and the end of its proposal.
    """

    scored: int
    failed: int
    rejected: int
    in_flight: int
    best: Proposal | None
    best_score: float | None
    spend: Spend
    seconds: float
    stalls: int = 0
    staleness: float = 0.0

    @property
    def variants(self) -> int:
        """Number of variants that count towards --max-variants."""
        return self.scored + self.failed


class Listener(Protocol):
    """An observer of a run."""

    def finished(
        self, proposal: Proposal, score: float | None, progress: Progress
    ) -> None:
        """Report that a proposal was scored, failed or was rejected.

        Args:
            proposal: The finished proposal.
            score: Its score; None if it has none.
            progress: The state of the run after it.
        """

    def waiting(self, message: str) -> None:
        """Report a retry after a fault of the machine, or another urgent message."""
