"""Budgets hold whatever arrives when: a real archive, real sockets, concurrent calls, failures."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive import Archive, Call, CallState, CodeStore, Proposal, Spend, State, derive_id
from evolve.config import Settings
from evolve.llm import Caller, ModelError, OutOfBudget
from evolve.llm.caller import Overrun
from evolve.recorder import Recorder
from evolve.scripted import Script
from tests.server import serving

MESSAGES = [{"role": "user", "content": "Improve this. " * 30}]
ASKED = 24
FAILING = {"busy": 0.1, "broken": 0.1, "reset": 0.05, "garbage": 0.05, "empty": 0.05, "no_usage": 0.1}


def make_recorder(folder: Path) -> Recorder:
    Archive.create(folder / "archive.db", {"seed": "0"}).close()
    CodeStore.create(folder / "code.git")
    return Recorder(Archive.open_to_write(folder / "archive.db"),
                    CodeStore.open_to_write(folder / "code.git"), maximize=True)


async def plan(recorder: Recorder, number: int) -> Proposal:
    proposal = Proposal(derive_id(0, number), number, State.PLANNED, "diff", (), 0, time.time())
    await recorder.plan(proposal)
    return proposal


class Asked(NamedTuple):
    """What came of each question, and the books."""

    ended: list[object]
    calls: list[Call]
    spend: Spend


def ask_all(folder: Path, given: Settings, count: int = ASKED) -> Asked:
    """Ask for many proposals at the same time, with a recorder of its own."""
    async def work() -> Asked:
        recorder = make_recorder(folder)
        try:
            proposals = [await plan(recorder, number) for number in range(count)]
            async with aclosing(Caller(given, recorder, lambda message: None)) as caller:
                ended = await asyncio.gather(*(caller.ask(p, 0, MESSAGES) for p in proposals),
                                             return_exceptions=True)
            assert recorder.spend.calls == recorder.archive.spend().calls
            return Asked(list(ended), recorder.archive.calls(), recorder.archive.spend())
        finally:
            await recorder.close()

    return asyncio.run(work())


def assert_adds_up(asked: Asked) -> None:
    calls, spend = asked.calls, asked.spend
    settled = [c for c in calls if c.state in (CallState.REPLIED, CallState.FAILED)]
    open_ = [c for c in calls if c.state is CallState.UNCERTAIN]
    assert len(settled) + len(open_) == len(calls) == spend.calls, "nothing is left on its way"
    assert spend.tokens == (sum(c.prompt_tokens + c.completion_tokens for c in settled)
                            + sum(c.reserved_tokens for c in open_))
    assert spend.usd == pytest.approx(sum(c.cost_usd for c in settled)
                                      + sum(c.reserved_usd for c in open_))
    assert all(c.prompt_tokens + c.completion_tokens <= c.reserved_tokens for c in settled)
    assert all(c.cost_usd <= c.reserved_usd + 1e-12 for c in settled)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["max_calls", "max_tokens", "budget_usd"]), st.integers(1, 40),
       st.sampled_from([1, 4, 24]), st.booleans(), st.sampled_from([0.0, 0.5]))
def test_no_budget_is_passed(kind: str, size: int, concurrency: int, failing: bool, cached: float
                             ) -> None:
    limit = {"max_calls": size, "max_tokens": size * 150, "budget_usd": size * 0.0002}[kind]
    with TemporaryDirectory() as folder, serving(
            Script(failures=FAILING if failing else {}, cached_share=cached)) as server:
        given_ = Settings.model_validate({
            kind: limit, "model": (server.model,), "model_calls": concurrency, "reply_tokens": 64,
            "price": {server.model: (1.0, 2.0, 0.1)}})
        asked = ask_all(Path(folder), given_)
        ended, calls, spend = asked
        assert_adds_up(asked)
        assert {"max_calls": spend.calls, "max_tokens": spend.tokens,
                "budget_usd": spend.usd}[kind] <= limit + 1e-12
        assert server.app.calls == len(calls), "every request that left has its row"
        assert all(isinstance(e, (OutOfBudget, ModelError)) or hasattr(e, "text") for e in ended)
        if any(isinstance(e, OutOfBudget) for e in ended):
            most = max((c.reserved_tokens for c in calls), default=10**9)
            assert {"max_calls": spend.calls + 1, "max_tokens": spend.tokens + most,
                    "budget_usd": spend.usd + 1.0}[kind] > limit, "it stopped too early"


def test_a_second_of_ones_own_server_can_cost(tmp_path: Path) -> None:
    with serving(Script(latency_s=0.3)) as server:
        given_ = Settings(model=(server.model,), price_per_second={server.model: 1.0}, reply_tokens=64)
        calls = ask_all(tmp_path, given_, 2).calls
        assert [c.cost_usd for c in calls] == pytest.approx([c.seconds for c in calls])
        assert all(0.3 <= c.cost_usd <= c.reserved_usd for c in calls)


def test_cached_tokens_cost_what_they_cost(tmp_path: Path) -> None:
    with serving(Script(cached_share=0.5)) as server:
        price = {server.model: (10.0, 0.0, 1.0)}
        given_ = Settings(model=(server.model,), price=price, reply_tokens=64)
        call = ask_all(tmp_path, given_, 1).calls[0]
        cached = int(0.5 * call.prompt_tokens)
        assert call.cost_usd == pytest.approx(
            ((call.prompt_tokens - cached) * 10 + cached * 1) / 1e6)


def test_a_server_that_overcharges_stops_the_run(tmp_path: Path) -> None:
    with serving(Script(failures={"overcharge": 1.0})) as server:
        given_ = Settings(model=(server.model,), price={server.model: (1.0, 1.0)}, reply_tokens=64)
        asked = ask_all(tmp_path, given_, 1)
        assert isinstance(asked.ended[0], Overrun)
        assert asked.spend.tokens == 2 * 10**7, "what it claims is in the books"


def test_retry_after_is_honoured_by_all_calls_of_the_model(tmp_path: Path) -> None:
    with serving(Script(failures={"busy": 0.5}, retry_after_s=0.7)) as server:
        given_ = Settings(model=(server.model,), reply_tokens=64)
        began = time.monotonic()
        calls = ask_all(tmp_path, given_, 6).calls
        retried = [c for c in calls if c.attempt > 0]
        assert retried and time.monotonic() - began >= 0.7 * max(c.attempt for c in calls)


@pytest.mark.parametrize(("failure", "state"), [
    ("busy", "failed"), ("broken", "failed"), ("hang", "uncertain"), ("trickle", "uncertain"),
    ("reset", "uncertain"), ("garbage", "uncertain"), ("empty", "uncertain"), ("refusal", "replied"),
    ("no_usage", "replied")])
def test_what_each_failure_does_to_the_books(tmp_path: Path, failure: str, state: str) -> None:
    """It said no: nothing is charged. Nobody knows: the reservation is. An answer: its usage."""
    with serving(Script(failures={failure: 1.0}, hang_s=3.0)) as server:
        given_ = Settings(model=(server.model,), price={server.model: (1.0, 1.0)}, reply_tokens=64,
                          call_timeout_s=0.5, max_calls=2)
        asked = ask_all(tmp_path, given_, 1)
        calls, charged = asked.calls, asked.spend.tokens
        assert {c.state.value for c in calls} == {state}
        assert_adds_up(asked)
        assert (charged == 0) == (state == "failed")
        if failure == "no_usage":
            assert charged == calls[0].reserved_tokens
