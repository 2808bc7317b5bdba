"""Long steps of many tasks, one in each round of the event loop: what arrives is read in between."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
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
