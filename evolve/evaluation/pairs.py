"""Blocks for timing: a variant and a reference make the same calls in fresh processes.

One block runs at a time, on one processor, so that variants do not disturb each other.
Which of two sandboxes a side gets is drawn anew for each block: one of them may be faster
for as long as it lives.
"""

import asyncio
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evolve.archive import Files
from evolve.sandbox import (
    CandidateFault,
    Measured,
    Pool,
    Provider,
    ProviderFault,
    Reply,
    Session,
)
from evolve.sandbox.inside import wire

VARIANT, REFERENCE = "A", "B"


@dataclass(frozen=True)
class Reference:
    """What variants are measured against.

    Attributes:
        files: Its tree.
        ratios: Its own speed on each case, as a multiple of the seed's.
    """

    files: Files
    ratios: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """The scorer's request for a block.

    Attributes:
        function: Name of the function.
        order: Whose turn it is in each interval, such as "ABBA".
        warm_up: Encoded calls that are not measured.
        parts: Encoded calls of each interval of one side.
        timeout_s: Time limit of each interval; None: that of the task.
    """

    function: str
    order: str
    warm_up: bytes
    parts: tuple[bytes, ...]
    timeout_s: float | None

    @classmethod
    def of(cls, header: Mapping[str, Any], payload: bytes) -> "Request":
        """Read a request of a scorer.

        Args:
            header: Its header.
            payload: Its payload.

        Returns:
            The request.
        """
        warm_up, parts = wire.decode(payload)
        return cls(
            header["function"],
            header["order"],
            warm_up,
            tuple(parts),
            header["timeout_s"],
        )


class PairTimer:
    """Runs blocks, one at a time.

    Args:
        provider: A prepared provider.
        module: Module with the functions that scorers call.
        seed: The reference from the beginning.

    Attributes:
        best: The reference that variants are measured against, if the scorer asks for
            the best.
    """

    def __init__(self, provider: Provider, module: str | None, seed: Files) -> None:
        self._pool = Pool(provider, 2, closes_provider=False)
        self._module, self._seed = module, Reference(seed)
        self.best = self._seed
        self._alone = asyncio.Lock()
        self._core = max(os.sched_getaffinity(0))

    async def run(
        self, files: Files, case: str, header: Mapping[str, Any], payload: bytes
    ) -> Reply:
        """Run one block.

        Args:
            files: The variant's tree.
            case: Id of the case.
            header: The scorer's request.
            payload: Its calls.

        Returns:
            The answers and times of both sides, encoded.

        Raises:
            CandidateFault: The variant failed or took too long.
            ProviderFault: The machine failed, or the reference did.
        """
        request = Request.of(header, payload)
        against: Literal["seed", "best"] = header["against"]
        reference = self._seed if against == "seed" else self.best
        async with (
            self._alone,
            self._pool.session() as first,
            self._pool.session() as second,
        ):
            sessions = [first, second]
            random.shuffle(sessions)
            sides = {VARIANT: _Side(sessions[0])}
            if REFERENCE in request.order:
                sides[REFERENCE] = _Side(sessions[1])
            for name, tree in ((REFERENCE, reference.files), (VARIANT, files)):
                if name in sides:
                    with _blames_the_machine(name):
                        await sides[name].begin(tree, self._module, request, self._core)
            for name in request.order:
                with _blames_the_machine(name):
                    await sides[name].take_turn(request, self._core)
            found = {name: side.outcome() for name, side in sides.items()}
            if REFERENCE in sides:
                found["echo"] = await sides[REFERENCE].echo(self._core)
        facts = {
            "sides": found,
            "ratio": reference.ratios.get(case, 1.0),
            "identical": reference.files == files,
        }
        return Reply(wire.encode(facts), 0.0)

    async def close(self) -> None:
        """Close the sandboxes."""
        await self._pool.close()


class _blames_the_machine:
    """Context manager: a fault of the reference is never the variant's."""

    def __init__(self, side: str) -> None:
        self._side = side

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._side == REFERENCE and isinstance(error, CandidateFault):
            raise ProviderFault(
                f"the reference of a timed task failed: {error.message}",
                "score it alone: evolve eval",
            ) from error


class _Side:
    """One process of a block.

    Args:
        session: A session with a fresh candidate.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turns: list[Measured] = []
        self._at_last_ns = 0

    async def begin(
        self, files: Files, module: str | None, request: Request, core: int
    ) -> None:
        """Load the tree and make the calls that warm it up."""
        await self._session.load(files, module)
        await self._session.hold(
            request.function, request.warm_up, core, request.timeout_s
        )
        await self._session.go(request.timeout_s)

    async def take_turn(self, request: Request, core: int) -> None:
        """Make the calls of the next part."""
        calls = request.parts[len(self._turns)]
        await self._session.hold(request.function, calls, core, request.timeout_s)
        self._turns.append(await self._session.go(request.timeout_s))

    def outcome(self) -> dict[str, Any]:
        """Return answers and times, in nanoseconds."""
        times = _times(self._turns)
        return times | {
            "answers": [turn.payload for turn in self._turns],
            "outside_ns": self._turns[-1].after_ns - sum(times["cpu_ns"]),
        }

    async def echo(self, core: int) -> dict[str, Any]:
        """Measure what encoding these answers takes, in the same process."""
        echoes = []
        for turn in self._turns:
            await self._session.hold(None, turn.payload, core)
            echoes.append(await self._session.go())
        return _times(echoes) | {"outside_ns": 0}


def _times(turns: list[Measured]) -> dict[str, Any]:
    """Return wall and CPU time of each turn in nanoseconds, and its instructions."""
    return {
        "wall_ns": [turn.wall_ns for turn in turns],
        "cpu_ns": [turn.after_ns - turn.before_ns for turn in turns],
        "instructions": [turn.instructions for turn in turns],
    }
