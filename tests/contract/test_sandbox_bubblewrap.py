"""The bubblewrap provider keeps the contract: limited, watched, and as an ordinary user."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.sandbox import Provider, SandboxSpec
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.cache import cache_folder
from evolve.sandbox.contract import (
    SPEC,
    Outcome,
    SandboxContract,
    attempt,
    broken_promises,
    opened,
)
from tests.security.weaker import WatchedProvider

ROOT = Path(__file__).parents[2]


class TestBubblewrap(SandboxContract):
    def make_provider(self, spec: SandboxSpec) -> Provider:
        return BubblewrapProvider(spec)


@pytest.mark.slow
class TestWatchedBubblewrap(SandboxContract):
    def make_provider(self, spec: SandboxSpec) -> Provider:
        return WatchedProvider(spec)


def test_it_keeps_its_promises_where_it_is_watched() -> None:
    assert broken_promises(WatchedProvider) == []


def test_one_box_serves_many_candidates() -> None:
    async def work() -> int:
        async with opened(BubblewrapProvider(SandboxSpec())) as pool:
            outcomes = [
                await attempt(pool, "def answer(): return 42") for _ in range(20)
            ]
            assert all(outcome.value == 42 and outcome.clean for outcome in outcomes)
            return pool.counts.started

    assert asyncio.run(work()) == 1


AS_ANOTHER_USER = """
import os, sys
sys.executable = os.path.realpath(sys.executable)  # root's home is closed to the other user
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.contract import broken_promises
assert broken_promises(BubblewrapProvider) == []  # and everything is imported and built
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(1234, 1234, 1234)
    os.setresuid(1234, 1234, 1234)
    assert broken_promises(BubblewrapProvider) == []
"""


def test_it_keeps_its_promises_as_an_ordinary_user() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"EVOLVE_CACHE_DIR": str(cache_folder())},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


SEES_NOBODY = """
import os, time

def answer():
    time.sleep(0.2)  # the next one is there by now
    seen = [name for name in os.listdir("/proc") if name.isdigit()]
    for pid in range(1, 400):
        if pid not in (1, os.getpid()):
            try:
                os.kill(pid, 9)
                return f"killed {pid}"
            except ProcessLookupError:
                continue
    return sorted(map(int, seen)) == sorted({1, os.getpid()})
"""


def test_the_process_that_waits_for_the_next_candidate_is_out_of_reach() -> None:
    async def two() -> tuple[Outcome, Outcome, int]:
        async with opened(BubblewrapProvider(SPEC)) as pool:
            first = await attempt(pool, SEES_NOBODY)
            second = await attempt(pool, "def answer():\n    return 42\n")
            return first, second, pool.counts.started

    first, second, started = asyncio.run(two())
    assert first.value is True and first.clean, first
    assert second.value == 42 and second.clean and started == 1
