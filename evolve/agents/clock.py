"""The agent's own time, which is paused while the agent waits for a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Clock:
    """A time limit that can be paused, for one episode in one event loop.

    Args:
        limit_s: running time in seconds, without pauses
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = self._left = limit_s
        self._since = 0.0
        self._stopped = 0  # number of nested pauses
        self._timeout: asyncio.Timeout | None = None

    @property
    def used_s(self) -> float:
        """Seconds used so far, without pauses."""
        running = self._timeout is not None and not self._stopped
        return (
            self.limit_s - self._left + (self._now() - self._since if running else 0.0)
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Apply the limit to the body of the context.

        Yields:
            While the clock runs.

        Raises:
            TimeoutError: the time is up
        """
        async with asyncio.timeout(self._left) as self._timeout:
            self._since = self._now()
            try:
                yield
            finally:
                self._pause()
                self._timeout = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Pause the time limit; may be nested.

        Yields:
            While the clock is paused.
        """
        self._pause()
        self._stopped += 1
        try:
            yield
        finally:
            self._stopped -= 1
            self._go_on()

    def _pause(self) -> None:
        if self._stopped or self._timeout is None:
            return
        self._left -= self._now() - self._since
        self._due(None)

    def _go_on(self) -> None:
        if self._stopped or self._timeout is None:
            return
        self._since = self._now()
        self._due(self._since + max(self._left, 0.0))

    def _due(self, when: float | None) -> None:
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(when)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
