"""Every attack, in every sandbox that isolates: a typed fault or nothing, and the next one is well."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from evolve.sandbox import Pool, Provider, SandboxSpec
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.contract import LIMITS, Outcome, attempt, opened
from evolve.sandbox.docker import DockerProvider
from tests.security.attacks import ATTACKS, Attack
from tests.security.attacks.attack import MARK, MARK_PREFIX
from tests.security.attacks.memory import MEMORY
from tests.security.attacks.secrets import take_back
from tests.security.probe import PROBE, Traces
from tests.security.weaker import WatchedProvider

SPEC = SandboxSpec(replace(LIMITS, files=4000), packages=("numpy",))
PROVIDERS: dict[str, Callable[[SandboxSpec], Provider]] = {
    "docker": DockerProvider,
    "bubblewrap": BubblewrapProvider,
    "watched": WatchedProvider,
}


@pytest.fixture(autouse=True)
def listeners() -> Iterator[None]:
    yield
    take_back()


async def probe(pool: Pool) -> Traces:
    """What the next candidate in this pool finds of the one before."""
    digest = hashlib.sha256(MARK.encode()).hexdigest()
    found = await attempt(
        pool, PROBE, MARK_PREFIX[::-1], len(MARK), digest, timeout_s=30
    )
    assert found.fault is None, found.fault.log or found.fault.message
    return Traces(**found.value)


async def live(provider: Provider, attack: Attack) -> tuple[Outcome, Traces]:
    """One attack, then an honest candidate in the same pool."""
    async with opened(provider) as pool:
        return await live_in(pool, attack)


async def live_in(pool: Pool, attack: Attack) -> tuple[Outcome, Traces]:
    outcome = await attempt(
        pool, attack.source, *attack.arguments(), timeout_s=attack.timeout_s
    )
    return outcome, await probe(pool)


class Pools:
    """One pool of each sandbox for many attacks, as in a run; a new one after a failure."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._open: dict[str, Pool] = {}

    def assert_holds(self, place: str, name: str) -> None:
        """The attack gains nothing and leaves nothing."""
        attack = ATTACKS[name]
        if place not in self._open:
            self._open[place] = self._runner.run(_prepared(place))
        try:
            outcome, traces = self._runner.run(live_in(self._open[place], attack))
            assert attack.holds(outcome), (
                outcome.value,
                outcome.fault,
                outcome.fault and outcome.fault.log,
            )
            assert traces == Traces()
        except BaseException:
            self._runner.run(self._open.pop(place).close())
            raise

    def close(self) -> None:
        for pool in self._open.values():
            self._runner.run(pool.close())
        self._runner.close()


async def _prepared(place: str) -> Pool:
    pool = Pool(PROVIDERS[place](SPEC), 1)
    await pool.provider.prepare(lambda line: None)
    return pool


@pytest.fixture(scope="module")
def pools() -> Iterator[Pools]:
    made = Pools()
    yield made
    made.close()


def named(names: Iterable[str]) -> list[Any]:
    return [
        pytest.param(name, marks=[pytest.mark.slow] if ATTACKS[name].slow else [])
        for name in names
    ]


@pytest.mark.parametrize("name", named(ATTACKS))
@pytest.mark.parametrize(
    "place", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
)
def test_attack(place: str, name: str, pools: Pools) -> None:
    pools.assert_holds(place, name)


@pytest.mark.parametrize(
    "name",
    named(
        [
            *(attack.name for attack in MEMORY),
            "fork_bomb",
            "fork_bomb_whose_first_process_exits",
            "thread_bomb",
            "process_bomb",
            "disk_fill",
            "prints_without_end_from_a_child",
        ]
    ),
)
def test_attack_on_limits_that_are_watched(name: str, pools: Pools) -> None:
    pools.assert_holds("watched", name)
