"""The cost of transporting data, measured in a process that never sees a candidate.

The time of a candidate's call must not include decoding of its arguments and encoding of its
answer. A candidate could slow a rehearsal in its own process, so it is made in another one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from evolve.sandbox import Pool, Provider, Reply, Session
from evolve.sandbox.inside import wire

MODULE = "evolve_inside.evolve_rehearsal"
_PAUSE_S = 0.003  # caches become as cold as those of a program that is seldom asked
_NOTHING = wire.encode(([], {}))


class Rehearsals:
    """Measures transport, one request at a time, in a separate sandbox.

    Args:
        provider: A prepared provider.
    """

    def __init__(self, provider: Provider) -> None:
        self._pool = Pool(provider, 1, closes_provider=False)

    async def run(self, tree: bytes, times: int) -> Reply:
        """Decode and encode a tree several times.

        Args:
            tree: Encoded (args, kwargs), the only argument is the tree.
            times: Number of repetitions, after one that warms up.

        Returns:
            Encoded lists of nanoseconds: CPU time of `decode`, of `encode`, and of `pause`
            between two measured requests; `wall` and `cpu` time of a request without work.

        Raises:
            CandidateFault: The tree is too large for the process.
            ProviderFault: The machine failed.
        """
        found: dict[str, list[int]] = {}
        async with self._session() as session:
            for turn in range(times + 1):
                measured = await _rehearse(session, tree)
                if turn:
                    for name, value in measured.items():
                        found.setdefault(name, []).append(value)
        return Reply(wire.encode(found), 0.0)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with self._pool.session() as session:
            await session.load({}, MODULE)
            yield session

    async def close(self) -> None:
        """Close the sandbox."""
        await self._pool.close()


async def _rehearse(session: Session, tree: bytes) -> dict[str, int]:
    await asyncio.sleep(_PAUSE_S)
    hold = await session.measure_call("hold", tree)
    await asyncio.sleep(_PAUSE_S)
    make = await session.measure_call("make", _NOTHING)
    await asyncio.sleep(_PAUSE_S)
    fetch = await session.measure_call("fetch", _NOTHING)
    return {
        "decode": hold.after_ns - hold.before_ns,
        "encode": fetch.after_ns - fetch.before_ns,
        "pause": fetch.before_ns - make.after_ns,
        "wall": make.wall_ns,
        "cpu": make.after_ns - make.before_ns,
    }
