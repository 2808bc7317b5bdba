"""Budgets hold whatever arrives when: a real archive, real sockets, concurrent calls, failures."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive import Archive, Call, CallState, CodeStore, Proposal, State, derive_id
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


async def ask_all(given: Settings, recorder: Recorder, count: int = ASKED) -> list[object]:
    """Ask for many proposals at the same time; what came of each."""
    caller = Caller(given, recorder, lambda message: None)
    proposals = [await plan(recorder, number) for number in range(count)]
    return await asyncio.gather(*(caller.ask(p, 0, MESSAGES) for p in proposals),
                                return_exceptions=True)


def assert_adds_up(calls: list[Call], recorder: Recorder) -> None:
    spend = recorder.archive.spend()
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
        recorder = make_recorder(Path(folder))
        try:
            ended = asyncio.run(ask_all(given_, recorder))
            spend, calls = recorder.archive.spend(), recorder.archive.calls()
            assert_adds_up(calls, recorder)
            assert {"max_calls": spend.calls, "max_tokens": spend.tokens,
                    "budget_usd": spend.usd}[kind] <= limit + 1e-12
            assert server.app.calls == len(calls), "every request that left has its row"
            assert all(isinstance(e, (OutOfBudget, ModelError)) or hasattr(e, "text") for e in ended)
            if any(isinstance(e, OutOfBudget) for e in ended):
                most = max((c.reserved_tokens for c in calls), default=10**9)
                assert {"max_calls": spend.calls + 1, "max_tokens": spend.tokens + most,
                        "budget_usd": spend.usd + 1.0}[kind] > limit, "it stopped too early"
        finally:
            recorder.close()


def test_a_second_of_ones_own_server_can_cost(tmp_path: Path) -> None:
    with serving(Script(latency_s=0.3)) as server:
        given_ = Settings(model=(server.model,), price_per_second={server.model: 1.0}, reply_tokens=64)
        recorder = make_recorder(tmp_path)
        try:
            asyncio.run(ask_all(given_, recorder, 2))
            calls = recorder.archive.calls()
            assert [c.cost_usd for c in calls] == pytest.approx([c.seconds for c in calls])
            assert all(0.3 <= c.cost_usd <= c.reserved_usd for c in calls)
        finally:
            recorder.close()


def test_cached_tokens_cost_what_they_cost(tmp_path: Path) -> None:
    with serving(Script(cached_share=0.5)) as server:
        price = {server.model: (10.0, 0.0, 1.0)}
        given_ = Settings(model=(server.model,), price=price, reply_tokens=64)
        recorder = make_recorder(tmp_path)
        try:
            asyncio.run(ask_all(given_, recorder, 1))
            call = recorder.archive.calls()[0]
            cached = int(0.5 * call.prompt_tokens)
            assert call.cost_usd == pytest.approx(
                ((call.prompt_tokens - cached) * 10 + cached * 1) / 1e6)
        finally:
            recorder.close()


def test_a_server_that_overcharges_stops_the_run(tmp_path: Path) -> None:
    with serving(Script(failures={"overcharge": 1.0})) as server:
        given_ = Settings(model=(server.model,), price={server.model: (1.0, 1.0)}, reply_tokens=64)
        recorder = make_recorder(tmp_path)
        try:
            ended = asyncio.run(ask_all(given_, recorder, 1))
            assert isinstance(ended[0], Overrun)
            assert recorder.archive.spend().tokens == 2 * 10**7, "what it claims is in the books"
        finally:
            recorder.close()


def test_retry_after_is_honoured_by_all_calls_of_the_model(tmp_path: Path) -> None:
    with serving(Script(failures={"busy": 0.5}, retry_after_s=0.7)) as server:
        given_ = Settings(model=(server.model,), reply_tokens=64)
        recorder = make_recorder(tmp_path)
        try:
            began = time.monotonic()
            asyncio.run(ask_all(given_, recorder, 6))
            calls = recorder.archive.calls()
            retried = [c for c in calls if c.attempt > 0]
            assert retried and time.monotonic() - began >= 0.7 * max(c.attempt for c in calls)
        finally:
            recorder.close()


@pytest.mark.parametrize(("failure", "state"), [
    ("busy", "failed"), ("broken", "failed"), ("hang", "uncertain"), ("trickle", "uncertain"),
    ("reset", "uncertain"), ("garbage", "uncertain"), ("empty", "uncertain"), ("refusal", "replied"),
    ("no_usage", "replied")])
def test_what_each_failure_does_to_the_books(tmp_path: Path, failure: str, state: str) -> None:
    """It said no: nothing is charged. Nobody knows: the reservation is. An answer: its usage."""
    with serving(Script(failures={failure: 1.0}, hang_s=3.0)) as server:
        given_ = Settings(model=(server.model,), price={server.model: (1.0, 1.0)}, reply_tokens=64,
                          call_timeout_s=0.5, max_calls=2)
        recorder = make_recorder(tmp_path)
        try:
            asyncio.run(ask_all(given_, recorder, 1))
            calls = recorder.archive.calls()
            assert {c.state.value for c in calls} == {state}
            assert_adds_up(calls, recorder)
            charged = recorder.archive.spend().tokens
            assert (charged == 0) == (state == "failed")
            if failure == "no_usage":
                assert charged == calls[0].reserved_tokens
        finally:
            recorder.close()
