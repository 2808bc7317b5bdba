"""Rate limit of a model: requests per minute, and pauses that its server asks for."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

WINDOW_S = 60.0
LONGEST_WAIT_S = 600.0  # longest pause that a server can ask for


class Rate:
    """Rate limit of one model.

    Args:
        per_minute: requests per minute; None for no limit
        clock: returns seconds; replaceable for tests
        sleep: waits for seconds; replaceable for tests
    """

    def __init__(
        self,
        per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.per_minute, self._clock, self._sleep = per_minute, clock, sleep
        self._sent: deque[float] = deque()
        self._not_before = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until the next request may be sent, and count it."""
        async with self._one_at_a_time:
            while (wait := self._wait_s()) > 0:
                await self._sleep(wait)
            if self.per_minute is not None:
                self._sent.append(self._clock())

    def pause(self, seconds: float) -> None:
        """Delay all further requests, as the server asked.

        Args:
            seconds: pause from now, at most `LONGEST_WAIT_S`
        """
        self._not_before = max(
            self._not_before, self._clock() + min(seconds, LONGEST_WAIT_S)
        )

    def _wait_s(self) -> float:
        now = self._clock()
        while self._sent and self._sent[0] + WINDOW_S <= now:
            self._sent.popleft()
        full = self.per_minute is not None and len(self._sent) >= self.per_minute
        return max(
            self._not_before - now, self._sent[0] + WINDOW_S - now if full else 0.0
        )
