"""A time limit of a candidate that leaves out the time in which the event loop stood.

While the loop stands, answers that arrive are not read; `asyncio.timeout` would then blame
the candidate for them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

TICK_S = 0.1
LATE_S = 0.25  # a delay of a tick that load alone does not explain
GRACE_S = 0.5  # left after a stall, to read what arrived during it
MAX_STALLS = 100  # a loop that stands still at every tick also comes to an end


class TimeLimit:
    """A limit on the time in which the event loop ran, for one body; it can be paused.

    Args:
        limit_s: Running time in seconds, without pauses and stalls.

    Attributes:
        stalls: Number of stalls so far.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.stalls = 0
        self._counted_s = self._since = self._planned_s = 0.0
        self._pauses = 0  # nested
        self._timeout: asyncio.Timeout | None = None
        self._tick: asyncio.TimerHandle | None = None

    @property
    def used_s(self) -> float:
        """Seconds used so far, without pauses and stalls."""
        passed = 0.0 if self._tick is None else self._now() - self._since
        return self._counted_s + min(passed, self._planned_s + LATE_S)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Apply the limit to the body of the context.

        Yields:
            While the time counts.

        Raises:
            TimeoutError: The time is up.
        """
        async with asyncio.timeout(None) as self._timeout:
            self._go_on()
            try:
                yield
            finally:
                self._halt()
                self._timeout = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Pause the limit; may be nested.

        Yields:
            While the limit is paused.
        """
        self._halt()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._go_on()

    def _go_on(self) -> None:
        if self._pauses or self._timeout is None or self._timeout.expired():
            return
        left = max(self.limit_s - self._counted_s, 0.0)
        self._since, self._planned_s = self._now(), min(TICK_S, left)
        loop = asyncio.get_running_loop()
        self._tick = loop.call_later(self._planned_s, self._at_tick)

    def _halt(self) -> None:
        if self._tick is not None:
            self._count()
            self._tick.cancel()
            self._tick = None

    def _at_tick(self) -> None:
        self._halt()
        if self._counted_s < self.limit_s:
            self._go_on()
        elif self._timeout is not None:
            self._timeout.reschedule(self._now())

    def _count(self) -> None:
        """Count the time since the last tick, unless the loop stood still in it."""
        passed = self._now() - self._since
        if passed <= self._planned_s + LATE_S or self.stalls >= MAX_STALLS:
            self._counted_s += passed
            return
        self.stalls += 1
        self._counted_s = min(self._counted_s, self.limit_s - GRACE_S)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
