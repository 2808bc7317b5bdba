"""A pool of started boxes: one for each worker, used again only after a proved clean end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sandbox.errors import ProviderFault
from sandbox.provider import Box, Provider
from sandbox.session import Session


@dataclass
class PoolCounts:
    """How often boxes were started, and why they were thrown away."""

    started: int = 0
    served: int = 0
    discarded: int = 0


class Pool:
    """Hands out sessions; at most `size` candidates live at once.

    A box that is not reusable is replaced ahead of its next use, so that a start costs no waiting.
    """

    def __init__(self, provider: Provider, size: int) -> None:
        self.provider, self.size = provider, size
        self.counts = PoolCounts()
        self._free = asyncio.Semaphore(size)
        self._idle: list[Box] = []
        self._starting: set[asyncio.Task[Box]] = set()
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """One candidate's life. Raises `ProviderFault` when no box can be started."""
        async with self._free:
            box = await self._lease()
            session = Session(box, self.provider.spec.limits)
            try:
                await session.begin()
                yield session
            finally:
                await asyncio.shield(self._give_back(box, session))

    async def _lease(self) -> Box:
        if self._idle:
            return self._idle.pop()
        if self._starting:
            task = self._starting.pop()
            return await task
        return await self._start()

    async def _start(self) -> Box:
        self.counts.started += 1
        return await self.provider.start()

    async def _give_back(self, box: Box, session: Session) -> None:
        await session.end()
        self.counts.served += 1
        if box.reusable and session.clean:
            self._idle.append(box)
            return
        self.counts.discarded += 1
        ending = asyncio.create_task(box.kill())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        if len(self._starting) + len(self._idle) < self.size:
            starting = asyncio.create_task(self._start())
            starting.add_done_callback(_look_at)
            self._starting.add(starting)

    async def close(self) -> None:
        """Kill every box. Sessions must have ended."""
        for task in self._starting:
            try:
                self._idle.append(await task)
            except ProviderFault:
                continue  # it never started: nothing to kill
        self._starting.clear()
        await asyncio.gather(*(box.kill() for box in self._idle), *self._ending)
        self._idle.clear()
        await self.provider.close()


def _look_at(task: asyncio.Task[Box]) -> None:
    """A start that failed is raised at its lease; asyncio need not complain about it, too."""
    if not task.cancelled():
        task.exception()
