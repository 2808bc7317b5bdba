"""A pool of started boxes: one per worker, reused only after a proved clean end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from evolve.sandbox import aside
from evolve.sandbox.errors import ProviderFault, machine_faults
from evolve.sandbox.process_limits import check_limits
from evolve.sandbox.provider import Box, Provider
from evolve.sandbox.session import Session


@dataclass
class PoolCounts:
    """Numbers of boxes started, candidates served, and boxes discarded."""

    started: int = 0
    served: int = 0
    discarded: int = 0


class Pool:
    """Hands out sessions; at most `size` candidates live at once.

    A box that may not be reused is replaced ahead of the next session, which then
    doesn't wait for a start.

    Args:
        provider: A prepared provider.
        size: Maximum number of live candidates.
        closes_provider: Whether `close` closes the provider; False: another pool does.
    """

    def __init__(
        self, provider: Provider, size: int, closes_provider: bool = True
    ) -> None:
        self.provider, self.size = provider, size
        self._closes_provider = closes_provider
        self.counts = PoolCounts()
        self._free = asyncio.Semaphore(size)
        self._idle: list[Box] = []
        self._starting: set[asyncio.Task[Box]] = set()
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Context manager: run one candidate in a box.

        Yields:
            The session, in which a candidate is being started.

        Raises:
            ProviderFault: No box can be started.
        """
        async with self._free:
            session = Session(await self._lease(), self.provider.spec.limits)
            try:
                session.begin()
                yield session
            finally:
                returning = asyncio.create_task(self._give_back(session))
                self._keep(returning)
                await asyncio.shield(returning)

    async def _lease(self) -> Box:
        while self._idle:
            box = self._idle.pop()
            if not box.packets.ended and not self._is_old(box):
                return box
            self._discard(box)  # it was lost or damaged while idle
        if not self._starting:
            return await self._start()
        task = self._starting.pop()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._starting.add(task)  # another session may have it
            raise

    async def _start(self) -> Box:
        self.counts.started += 1
        with machine_faults("a sandbox can't be started"):
            check_limits(self.provider.spec.limits, self.size)
            generation = self.provider.generation
            try:
                box = await self.provider.start()
            except ProviderFault:
                await self.provider.check()
                if generation == self.provider.generation:
                    raise
                # its files were damaged, and have been made again
                generation = self.provider.generation
                box = await self.provider.start()
            box.generation = generation
            return box

    async def renew(self, session: Session) -> None:
        """End the candidate of a session and begin a new one; nothing of it is left.

        Args:
            session: An open session of this pool.

        Raises:
            ProviderFault: No box can be started.
        """
        await self._give_back(session)
        session.restart(await self._lease())

    async def check(self, session: Session, thorough: bool = True) -> None:
        """Check after a failure that the candidate's box was whole.

        Args:
            session: The candidate.
            thorough: Whether to look at each file of the box.

        Raises:
            ProviderFault: Its files were damaged; those of the next box are not.
        """
        await self.provider.check(thorough)
        if self._is_old(session.box):
            raise ProviderFault(
                "files of the sandbox were damaged; they are made again"
            )

    def _is_old(self, box: Box) -> bool:
        return box.generation != self.provider.generation

    async def _give_back(self, session: Session) -> None:
        if not session.held:
            return
        await session.end()
        session.held, box = False, session.box
        self.counts.served += 1
        box.lives -= 1
        if box.lives > 0 and session.clean and not self._is_old(box):
            self._idle.append(box)
            return
        self._discard(box)
        if len(self._starting) + len(self._idle) < self.size:
            starting = asyncio.create_task(self._start())
            starting.add_done_callback(_look_at)
            self._starting.add(starting)

    def _discard(self, box: Box) -> None:
        self.counts.discarded += 1
        self._keep(asyncio.create_task(box.end()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Keep a reference to a background task; `close` waits for it."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Kill every box and close the provider. All sessions must have ended."""
        while self._ending:
            await asyncio.gather(*self._ending)
        for task in self._starting:
            try:
                self._idle.append(await task)
            except ProviderFault:
                continue  # it never started: nothing to kill
        self._starting.clear()
        await asyncio.gather(*(box.end() for box in self._idle))
        self._idle.clear()
        if self._closes_provider:
            await self.provider.close()
            aside.close()


def _look_at(task: asyncio.Task[Box]) -> None:
    """Retrieve the exception of a failed start, which is raised at its lease.

    asyncio would otherwise report it as never retrieved.
    """
    if not task.cancelled():
        task.exception()
