"""How many proposals to have under way: enough that nobody waits, not so many that parents go stale."""

from __future__ import annotations

import math

MARGIN = 1.5  # replies come unevenly
SMOOTHING = 0.1


class Pace:
    """Model calls and evaluations overlap; Little's law says how many calls feed the evaluators.

    With evaluations of e seconds on w workers and replies after m seconds, w/e are evaluated a second,
    so w/e * m calls must be on their way. Until both are known, all that is allowed.

    `dear`: a proposal is itself work in a box, as an agent's is. Then there are no more under way than
    workers: what is decided ahead does not know what came of the same parent meanwhile, and is often
    the same once more.
    """

    def __init__(self, workers: int, model_calls: int, dear: bool = False) -> None:
        # More proposals than calls: some are on their way to their call, or from it.
        calls = model_calls or workers
        self._workers, self._calls, self._dear = workers, calls + calls // 4, dear
        self._propose_s: float | None = None
        self._evaluate_s: float | None = None

    def proposed(self, seconds: float) -> None:
        """A proposal took so long until it could be evaluated, or was rejected."""
        self._propose_s = _smooth(self._propose_s, seconds)

    def evaluated(self, seconds: float) -> None:
        """An evaluation took so long, once a worker was free."""
        self._evaluate_s = _smooth(self._evaluate_s, seconds)

    @property
    def feeding(self) -> int:
        """Proposals that should be on their way to the evaluators."""
        if self._propose_s is None or self._evaluate_s is None:
            return self._calls
        rate = self._workers / max(self._evaluate_s, 1e-4)
        return min(self._calls, max(1, math.ceil(rate * self._propose_s * MARGIN)))

    def room(self, proposing: int, proposed: int) -> bool:
        """Whether one more decision is due. `proposed` have a child, running or waiting for a worker.

        Each worker may have one more child ready than it runs: it never waits, and the queue is short.
        """
        if self._dear:
            return proposing + proposed < self._workers
        if proposing >= self._calls:
            return False
        return proposing + proposed < 2 * self._workers + self.feeding


def _smooth(before: float | None, value: float) -> float:
    return value if before is None else before + SMOOTHING * (value - before)
