"""Concurrency: the limit on proposals in flight, stall detection, fair yielding."""

import asyncio
import math
import time
from collections import deque

MARGIN = 1.5  # because replies arrive irregularly
SMOOTHING = 0.1  # weight of the newest value in a moving average


class InFlightLimit:
    """A limit on proposals in flight, by Little's law, so that evaluators never wait.

    With w workers, e seconds per evaluation and m seconds per proposal, w/e variants are
    evaluated per second, so w/e * m proposals must be in flight to supply them. Until
    both durations are known, all calls that the settings allow are used.

    Args:
        workers: Number of parallel evaluations.
        model_calls: Number of parallel model calls; 0: no operator asks a model.
        expensive: Whether a proposal itself runs in a sandbox, as for an agent. Then at
            most `workers` proposals are in flight: a decision made ahead does not know
            the results of the same parent in the meantime, and often repeats them.
    """

    def __init__(self, workers: int, model_calls: int, expensive: bool = False) -> None:
        # More proposals than calls: some are just before or just after their call.
        calls = model_calls or workers
        self._workers, self._calls, self._expensive = (
            workers,
            calls + calls // 4,
            expensive,
        )
        self._propose_s: float | None = None
        self._evaluate_s: float | None = None

    def proposed(self, seconds: float) -> None:
        """Update the average duration of a proposal.

        Args:
            seconds: Time until it was ready to evaluate, or was rejected.
        """
        self._propose_s = _smooth(self._propose_s, seconds)

    def evaluated(self, seconds: float) -> None:
        """Update the average duration of an evaluation.

        Args:
            seconds: Time of one evaluation, without the wait for a worker.
        """
        self._evaluate_s = _smooth(self._evaluate_s, seconds)

    @property
    def feeding(self) -> int:
        """Number of proposals that should be in preparation for the evaluators."""
        if self._propose_s is None or self._evaluate_s is None:
            return self._calls
        rate = self._workers / max(self._evaluate_s, 1e-4)
        return min(self._calls, max(1, math.ceil(rate * self._propose_s * MARGIN)))

    def has_capacity(self, proposing: int, proposed: int) -> bool:
        """Return whether one more decision is due.

        Each worker may have one child waiting besides the one that it runs: then it never
        idles, and the queue stays short.

        Args:
            proposing: Number of proposals without a child yet.
            proposed: Number of proposals with a child, in evaluation or waiting for a
                worker.

        Returns:
            Whether another proposal may be started.
        """
        if self._expensive:
            return proposing + proposed < self._workers
        if proposing >= self._calls:
            return False
        return proposing + proposed < 2 * self._workers + self.feeding


def _smooth(before: float | None, value: float) -> float:
    return value if before is None else before + SMOOTHING * (value - before)


BEAT_S = 0.2
STILL_S = 1.0  # a delay of a beat that load alone does not explain


class StallDetector:
    """A heartbeat that detects a suspended process.

    A timeout during a stall is not the fault of the candidate.
    """

    def __init__(self) -> None:
        self._last_still = -1.0

    async def beat(self) -> None:
        """Run the heartbeat until it is cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            if now - before > BEAT_S + STILL_S:
                self._last_still = now

    def stalled_since(self, moment: float) -> bool:
        """Return whether a stall ended after `moment`, a value of `time.monotonic`."""
        return self._last_still > moment


class FairYield:
    """Cooperative yielding: resumes one waiting task per iteration of the event loop.

    When many replies arrive together, processing each takes milliseconds, and requests
    that are ready to be sent would wait for all of them. Between two tasks the loop
    handles its sockets. Used from one event loop.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._due = False

    async def turn(self) -> None:
        """Wait for an iteration of the event loop in which no other task is resumed."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        if not self._due:
            self._due = True
            loop.call_soon(self._wake)
        await mine

    def _wake(self) -> None:
        """Resume the next task that still waits, and schedule the one after it."""
        while self._waiting:
            mine = self._waiting.popleft()
            if not mine.done():
                mine.set_result(None)
                break
        self._due = bool(self._waiting)
        if self._due:
            asyncio.get_running_loop().call_soon(self._wake)
