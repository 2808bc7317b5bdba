"""How many proposals are in flight, suspension of the process, fair turns on the event loop."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque

MARGIN = 1.5  # replies come unevenly
SMOOTHING = 0.1


class InFlightLimit:
    """Model calls and evaluations overlap; Little's law says how many calls feed the evaluators.

    With evaluations of e seconds on w workers and replies after m seconds, w/e are evaluated a second,
    so w/e * m calls must be on their way. Until both are known, all that is allowed.

    `expensive`: a proposal is itself work in a box, as an agent's is. Then there are no more under way than
    workers: what is decided ahead does not know what came of the same parent meanwhile, and is often
    the same once more.
    """

    def __init__(self, workers: int, model_calls: int, expensive: bool = False) -> None:
        # More proposals than calls: some are on their way to their call, or from it.
        calls = model_calls or workers
        self._workers, self._calls, self._expensive = (
            workers,
            calls + calls // 4,
            expensive,
        )
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

    def has_capacity(self, proposing: int, proposed: int) -> bool:
        """Whether one more decision is due. `proposed` have a child, running or waiting for a worker.

        Each worker may have one more child ready than it runs: it never waits, and the queue is short.
        """
        if self._expensive:
            return proposing + proposed < self._workers
        if proposing >= self._calls:
            return False
        return proposing + proposed < 2 * self._workers + self.feeding


def _smooth(before: float | None, value: float) -> float:
    return value if before is None else before + SMOOTHING * (value - before)


BEAT_S = 0.2
STILL_S = 1.0  # a beat later than this by so much was no mere load


class StallDetector:
    """A heartbeat; a time-out that fell into a standstill is nobody's fault."""

    def __init__(self) -> None:
        self._last_still = -1.0

    async def beat(self) -> None:
        """Until it is cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            if now - before > BEAT_S + STILL_S:
                self._last_still = now

    def stalled_since(self, moment: float) -> bool:
        """Whether a standstill ended after a moment of `time.monotonic`."""
        return self._last_still > moment


class FairYield:
    """Lets waiting tasks go on one after another, with a look at the sockets between any two.

    When many replies come together, what is done with each of them takes milliseconds; the requests
    that could leave meanwhile would wait for all of it. Used from one event loop.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._due = False

    async def turn(self) -> None:
        """Wait until no other task was woken in this round."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        if not self._due:
            self._due = True
            loop.call_soon(self._wake)
        await mine

    def _wake(self) -> None:
        """The next one that still waits; the one after it in the next round."""
        while self._waiting:
            mine = self._waiting.popleft()
            if not mine.done():
                mine.set_result(None)
                break
        self._due = bool(self._waiting)
        if self._due:
            asyncio.get_running_loop().call_soon(self._wake)
