"""Retry: pauses grow, patience counts from the first fault, and a fault that persists is raised."""

from __future__ import annotations

import asyncio
import time

import pytest

from evolve.errors import RunError
from evolve.retry import Backoff, retry, retry_sandbox
from evolve.sandbox import ProviderFault

QUICK = Backoff(0.01, 0.03)


class Failing:
    """Fails a number of times, then works."""

    def __init__(self, times: int) -> None:
        self.left, self.calls = times, 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.left > 0:
            self.left -= 1
            raise ProviderFault("no daemon")
        return "done"


def tried(work: Failing, patience_s: float) -> tuple[str, list[float]]:
    pauses: list[float] = []

    async def say(fault: ProviderFault, pause_s: float) -> None:
        assert fault.message == "no daemon"
        pauses.append(pause_s)

    done = asyncio.run(retry(work, ProviderFault, patience_s, QUICK, say))
    return done, pauses


def test_a_job_that_works_is_run_once() -> None:
    work = Failing(0)
    assert tried(work, 0.0) == ("done", []) and work.calls == 1


def test_pauses_double_up_to_the_longest() -> None:
    work = Failing(4)
    assert tried(work, 60.0) == ("done", [0.01, 0.02, 0.03, 0.03]) and work.calls == 5


def test_a_fault_that_persists_is_raised_before_patience_is_over() -> None:
    work, began = Failing(1000), time.monotonic()
    with pytest.raises(ProviderFault):
        tried(work, 0.2)
    assert 5 <= work.calls < 20 and time.monotonic() - began < 5


def test_without_patience_it_is_tried_once() -> None:
    work = Failing(1)
    with pytest.raises(ProviderFault):
        tried(work, 0.0)
    assert work.calls == 1


def test_other_errors_are_not_retried() -> None:
    calls: list[int] = []

    async def work() -> None:
        calls.append(1)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(retry_sandbox(work, 60.0))
    assert len(calls) == 1


def test_a_sandbox_that_fails_ends_with_an_error_for_people() -> None:
    messages: list[str] = []

    async def say(message: str) -> None:
        messages.append(message)

    with pytest.raises(RunError, match=r"the sandbox failed for 1.2 s: no daemon"):
        asyncio.run(retry_sandbox(Failing(1000), 1.2, say))
    assert messages == ["the sandbox failed (no daemon); trying again in 0.5 s"]
