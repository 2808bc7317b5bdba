"""Notices when this process stood still (stopped, or its machine asleep): clocks ran on meanwhile."""

from __future__ import annotations

import asyncio
import time

BEAT_S = 0.2
STILL_S = 1.0  # a beat later than this by so much was no mere load


class Pulse:
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

    def stood_still_since(self, moment: float) -> bool:
        """Whether a standstill ended after a moment of `time.monotonic`."""
        return self._last_still > moment
