"""What is told of a run while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evolve.archive import Proposal, Spend


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    scored: int
    failed: int
    rejected: int
    in_flight: int
    best: Proposal | None
    best_score: float | None
    spend: Spend
    seconds: float
    stalls: int = 0  # how often a window held a decision back
    # variants that were scored between a decision and its own end, on average
    staleness: float = 0.0

    @property
    def variants(self) -> int:
        """What counts against --max-variants."""
        return self.scored + self.failed


class Listener(Protocol):
    """Who watches a run."""

    def finished(
        self, proposal: Proposal, score: float | None, progress: Progress
    ) -> None:
        """A proposal is scored, failed or rejected."""

    def waiting(self, message: str) -> None:
        """The machine failed; the run waits and tries again. Or something else to know at once."""
