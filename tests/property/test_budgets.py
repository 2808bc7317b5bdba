"""Budgets hold whatever arrives when: a real archive, real sockets, concurrent calls, failures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import astuple, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from evolve.archive import (
    Archive,
    Call,
    CallPurpose,
    CallState,
    CodeStore,
    Decision,
    Proposal,
    Reply,
    SharedPrompt,
    Spend,
    State,
    derive_id,
)
from evolve.config import Settings
from evolve.engine.recorder import Recorder
from evolve.errors import ConfigError
from evolve.models import (
    BudgetedModels,
    Completion,
    ModelError,
    OutOfBudget,
)
from evolve.models.budgeted import ATTEMPTS, SLACK_S, Overrun, _limit_of
from evolve.models.client import GRACE_S
from evolve.models.extra import load_litellm
from evolve.models.names import parse_model
from evolve.models.prices import Price, price_of
from evolve.models.samples import proposals_of, shares
from evolve.scripted import FAILURES, Failure, Script
from tests.server import serving

MESSAGES = [{"role": "user", "content": "Improve this. " * 30}]
ASKED = 24
PROMPT_BYTES = len(MESSAGES[0]["content"])
OWN = "hosted_vllm/x@http://127.0.0.1:1/v1"
FAILING = {
    "busy": 0.1,
    "broken": 0.1,
    "reset": 0.05,
    "garbage": 0.05,
    "empty": 0.05,
    "no_usage": 0.1,
}


def make_recorder(folder: Path) -> Recorder:
    Archive.create(folder / "archive.db", {"seed": "0"}).close()
    CodeStore.create(folder / "code.git")
    return Recorder(
        Archive.open_to_write(folder / "archive.db"),
        CodeStore.open_to_write(folder / "code.git"),
        maximize=True,
    )


async def plan(recorder: Recorder, number: int, **decision: Any) -> Proposal:
    proposal = Proposal(
        derive_id(0, number),
        number,
        State.PLANNED,
        "diff",
        (),
        0,
        time.time(),
        decision=Decision(**decision),
    )
    await recorder.plan(proposal)
    return proposal


class Asked(NamedTuple):
    """What came of each question, and the books."""

    ended: list[object]
    calls: list[Call]
    spend: Spend


Asking = Callable[[BudgetedModels, list[Proposal]], Coroutine[Any, Any, list[object]]]


async def at_once(caller: BudgetedModels, proposals: list[Proposal]) -> list[object]:
    return list(
        await asyncio.gather(
            *(caller.ask(p, CallPurpose.PROPOSE, MESSAGES) for p in proposals),
            return_exceptions=True,
        )
    )


def ask_all(
    folder: Path,
    given: Settings,
    count: int = ASKED,
    asking: Asking = at_once,
    **decision: Any,
) -> Asked:
    """Ask for many proposals, all at the same time if not said otherwise; a recorder of its own."""

    async def work() -> Asked:
        folder.mkdir(exist_ok=True)
        recorder = make_recorder(folder)
        try:
            proposals = [
                await plan(recorder, number, **decision) for number in range(count)
            ]
            async with aclosing(
                BudgetedModels(given, recorder, lambda message: None)
            ) as caller:
                ended = await asyncio.wait_for(asking(caller, proposals), 60)
            assert astuple(recorder.spend) == pytest.approx(
                astuple(recorder.archive.spend())
            )
            return Asked(
                list(ended), recorder.archive.calls(), recorder.archive.spend()
            )
        finally:
            await recorder.close()

    return asyncio.run(work())


def assert_adds_up(asked: Asked) -> None:
    calls, spend = asked.calls, asked.spend
    settled = [c for c in calls if c.state in (CallState.REPLIED, CallState.FAILED)]
    open_ = [c for c in calls if c.state is CallState.UNCERTAIN]
    assert len(settled) + len(open_) == len(calls) == spend.calls, (
        "nothing is left on its way"
    )
    assert spend.tokens == (
        sum(c.prompt_tokens + c.completion_tokens for c in settled)
        + sum(c.reserved_tokens for c in open_)
    )
    assert spend.usd == pytest.approx(
        sum(c.cost_usd for c in settled) + sum(c.reserved_usd for c in open_)
    )
    assert all(
        c.prompt_tokens + c.completion_tokens <= c.reserved_tokens for c in settled
    )
    assert all(c.cost_usd <= c.reserved_usd + 1e-12 for c in settled)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["max_calls", "max_tokens", "budget_usd"]),
    st.integers(1, 40),
    st.sampled_from([1, 4, 24]),
    st.booleans(),
    st.sampled_from([0.0, 0.5]),
)
def test_no_budget_is_passed(
    kind: str, size: int, concurrency: int, failing: bool, cached: float
) -> None:
    limit = {"max_calls": size, "max_tokens": size * 150, "budget_usd": size * 0.0002}[
        kind
    ]
    with (
        TemporaryDirectory() as folder,
        serving(
            Script(failures=FAILING if failing else {}, cached_share=cached)
        ) as server,
    ):
        given_ = Settings.model_validate(
            {
                kind: limit,
                "model": (server.model,),
                "model_calls": concurrency,
                "reply_tokens": 64,
                "price": {server.model: (1.0, 2.0, 0.1)},
            }
        )
        asked = ask_all(Path(folder), given_)
        ended, calls, spend = asked
        assert_adds_up(asked)
        assert {
            "max_calls": spend.calls,
            "max_tokens": spend.tokens,
            "budget_usd": spend.usd,
        }[kind] <= limit + 1e-12
        assert server.app.calls == len(calls), "every request that left has its row"
        assert all(
            isinstance(e, (OutOfBudget, ModelError)) or hasattr(e, "text")
            for e in ended
        )
        if any(isinstance(e, OutOfBudget) for e in ended):
            most = max((c.reserved_tokens for c in calls), default=10**9)
            assert {
                "max_calls": spend.calls + 1,
                "max_tokens": spend.tokens + most,
                "budget_usd": spend.usd + 1.0,
            }[kind] > limit, "it stopped too early"


def test_a_second_of_ones_own_server_can_cost(tmp_path: Path) -> None:
    with serving(Script(latency_s=0.3)) as server:
        given_ = Settings(
            model=(server.model,), price_per_second={server.model: 1.0}, reply_tokens=64
        )
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
            ((call.prompt_tokens - cached) * 10 + cached * 1) / 1e6
        )


def test_a_server_that_overcharges_stops_the_run(tmp_path: Path) -> None:
    with serving(Script(failures={"overcharge": 1.0})) as server:
        given_ = Settings(
            model=(server.model,), price={server.model: (1.0, 1.0)}, reply_tokens=64
        )
        asked = ask_all(tmp_path, given_, 1)
        assert isinstance(asked.ended[0], Overrun)
        assert asked.spend.tokens == 2 * 10**7, "what it claims is in the books"


def test_retry_after_is_honoured_by_all_calls_of_the_model(tmp_path: Path) -> None:
    with serving(Script(failures={"busy": 0.5}, retry_after_s=0.7)) as server:
        given_ = Settings(model=(server.model,), reply_tokens=64)
        began = time.monotonic()
        calls = ask_all(tmp_path, given_, 6).calls
        retried = [c for c in calls if c.attempt > 0]
        assert retried and time.monotonic() - began >= 0.7 * max(
            c.attempt for c in calls
        )


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        ("busy", "failed"),
        ("broken", "failed"),
        ("hang", "uncertain"),
        ("trickle", "uncertain"),
        ("reset", "uncertain"),
        ("garbage", "uncertain"),
        ("empty", "uncertain"),
        ("refusal", "replied"),
        ("no_usage", "replied"),
    ],
)
def test_what_each_failure_does_to_the_books(
    tmp_path: Path, failure: str, state: str
) -> None:
    """It said no: nothing is charged. Nobody knows: the reservation is. An answer: its usage.

    Of an answer the row says what is odd about it.
    """
    with serving(Script(failures={failure: 1.0}, hang_s=3.0)) as server:
        given_ = Settings(
            model=(server.model,),
            price={server.model: (1.0, 1.0)},
            reply_tokens=64,
            call_timeout_s=0.5,
            max_calls=2,
        )
        asked = ask_all(tmp_path, given_, 1)
        calls, charged = asked.calls, asked.spend.tokens
        assert {c.state.value for c in calls} == {state}
        assert_adds_up(asked)
        assert (charged == 0) == (state == "failed")
        assert all(c.error for c in calls)
        least = 0.5 if failure in ("hang", "trickle") else 0.0
        assert all(least <= c.seconds < 60 for c in calls), (
            "it says how long it has taken"
        )
        if failure == "no_usage":
            assert all("tokens estimated" in (c.error or "") for c in calls)
            assert PROMPT_BYTES // 4 < charged < calls[0].reserved_tokens


@pytest.mark.parametrize(
    ("kind", "least"), [("max_calls", 1.0), ("max_tokens", 1.0), ("budget_usd", 1e-9)]
)
def test_the_last_call_that_fits_is_made(
    tmp_path: Path, kind: str, least: float
) -> None:
    """Who finds no room waits for what the calls before give back: all but what they used."""
    with serving(Script()) as server:
        free: dict[str, Any] = {
            "model": (server.model,),
            "reply_tokens": 64,
            "price": {server.model: (1.0, 2.0)},
        }
        one = ask_all(tmp_path / "one", Settings.model_validate(free), 1).calls[0]
        used, reserved = {
            "max_calls": (1, 1),
            "max_tokens": (
                one.prompt_tokens + one.completion_tokens,
                one.reserved_tokens,
            ),
            "budget_usd": (one.cost_usd, one.reserved_usd),
        }[kind]
        over = least if kind == "budget_usd" else 0.0  # sums of dollars are rounded
        for limit, fit in (
            (2 * used + reserved + over, 3),
            (2 * used + reserved - least, 2),
        ):
            asked = ask_all(
                tmp_path / str(fit), Settings.model_validate(free | {kind: limit}), 5
            )
            assert len(asked.calls) == fit
            refused = [e for e in asked.ended if isinstance(e, OutOfBudget)]
            assert len(refused) == 5 - fit and kind in str(refused[0])


def test_a_reservation_is_no_less_than_bytes_and_seconds_and_not_much_more(
    tmp_path: Path,
) -> None:
    proposal = Proposal(derive_id(0, 0), 0, State.PLANNED, "diff", (), 0, 0.0)

    async def bounds(*texts: str) -> tuple[tuple[int, float], float]:
        recorder, messages = (
            make_recorder(tmp_path),
            [{"role": "user", "content": t} for t in texts],
        )
        by_token = Settings(model=(OWN,), price={OWN: (1e6, 3e6)})
        by_second = Settings(
            model=(OWN,), price_per_second={OWN: 1.0}, call_timeout_s=10.0
        )
        try:
            first, second = (
                BudgetedModels(given_, recorder, lambda message: None).step_bound(
                    proposal, messages, 50
                )
                for given_ in (by_token, by_second)
            )
            return first, second[1]
        finally:
            await recorder.close()

    (tokens, usd), seconds = asyncio.run(
        bounds("Improve this.", "", "\u00fc\u20ac\U0001f600")
    )
    assert 13 + 9 + 50 < tokens <= 13 + 9 + 50 + 3 * 20
    assert usd == pytest.approx((tokens - 50) + 3 * 50)
    assert seconds == pytest.approx(10 + GRACE_S + SLACK_S)


def claiming(
    prompt: int, completion: int
) -> Callable[[Failure], Coroutine[Any, Any, Response]]:
    """An answer with this usage, whatever it was."""

    async def answer(failure: Failure) -> Response:
        return JSONResponse(
            failure.body
            | {"usage": {"prompt_tokens": prompt, "completion_tokens": completion}}
        )

    return answer


@pytest.mark.parametrize(
    ("price", "prompt", "completion", "over"),
    [
        ((1.0, 2.0), 0, 64, False),  # all that was reserved, to the token
        ((0.0, 0.0), 1, 64, True),  # a token too many, and no dollar
        ((1.0, 0.0), 1, 1, True),
    ],
)  # dollars too many, and fewer tokens
def test_a_server_may_charge_all_that_is_reserved_and_no_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    price: tuple[float, float],
    prompt: int,
    completion: int,
    over: bool,
) -> None:
    with serving(Script(failures={"claims": 1.0})) as server:
        given_ = Settings(
            model=(server.model,), price={server.model: price}, reply_tokens=64
        )
        monkeypatch.setitem(FAILURES, "claims", claiming(1, 1))
        room = ask_all(tmp_path / "room", given_, 1).calls[0].reserved_tokens - 64
        monkeypatch.setitem(FAILURES, "claims", claiming(room + prompt, completion))
        asked = ask_all(tmp_path / "asked", given_, 1)
        assert isinstance(asked.ended[0], Overrun) == over
        assert asked.spend.tokens == room + prompt + completion


def test_without_patience_a_call_is_tried_a_few_times_each_with_a_seed_of_its_own(
    tmp_path: Path,
) -> None:
    with serving(Script(failures={"broken": 1.0})) as server:
        asked = ask_all(tmp_path, Settings(model=(server.model,), patience_s=0.0), 1)
        assert [call.attempt for call in asked.calls] == list(range(ATTEMPTS))
        assert (
            len({json.loads(call.request)["seed"] for call in asked.calls}) == ATTEMPTS
        )
        assert isinstance(asked.ended[0], ModelError)


def test_one_request_asks_for_all_that_share_a_prompt(tmp_path: Path) -> None:
    with serving(Script()) as server:
        given_ = Settings(
            model=(server.model,),
            price={server.model: (1.0, 2.0)},
            reply_tokens=64,
            price_per_second={server.model: 1.0},
        )
        asked = ask_all(tmp_path, given_, 4, shared=SharedPrompt(0, 4))
        assert server.app.calls == len(asked.calls) == 4
        assert len({call.request for call in asked.calls}) == 1
        texts = [getattr(ended, "text", None) for ended in asked.ended]
        assert texts == [call.reply for call in asked.calls] == ["Hello."] * 4
        first, *others = asked.calls
        assert first.reserved_tokens > PROMPT_BYTES + 64
        assert {call.reserved_tokens for call in others} == {64}, (
            "the first bears the prompt"
        )
        assert all(call.reserved_usd == pytest.approx(64 * 2e-6) for call in others), (
            "and the time"
        )
        assert_adds_up(asked)


def test_what_is_stored_of_a_shared_prompt_is_not_asked_again(tmp_path: Path) -> None:
    async def one_before(
        caller: BudgetedModels, proposals: list[Proposal]
    ) -> list[object]:
        alone = replace(proposals[1], decision=Decision())
        return [
            await caller.ask(alone, CallPurpose.PROPOSE, MESSAGES),
            *await at_once(caller, proposals),
        ]

    with serving(Script(latency_s=0.1)) as server:
        given_ = Settings(model=(server.model,), reply_tokens=64)
        asked = ask_all(tmp_path, given_, 4, one_before, shared=SharedPrompt(0, 4))
        assert all(hasattr(e, "text") for e in asked.ended)
        assert server.app.calls == len(asked.calls) == 4
        assert len({call.proposal for call in asked.calls}) == 4


async def one_by_one(caller: BudgetedModels, proposals: list[Proposal]) -> list[object]:
    return [await caller.ask(p, CallPurpose.PROPOSE, MESSAGES) for p in proposals]


async def each_ends_first(
    caller: BudgetedModels, proposals: list[Proposal]
) -> list[object]:
    reject = caller._rows.reject  # type: ignore[attr-defined]
    return [
        (await caller.ask(p, CallPurpose.PROPOSE, MESSAGES), await reject(p, "x", ""))[
            0
        ]
        for p in proposals
    ]


@pytest.mark.parametrize(
    ("asking", "states"),
    [
        # they waited: each asks alone
        (at_once, ["replied", "failed", "failed", "replied", "replied"]),
        (one_by_one, ["replied", "failed", "failed", "replied", "failed", "replied"]),
        (
            each_ends_first,
            ["replied", "failed", "failed", "replied", "failed", "replied"],
        ),
    ],
)
def test_who_got_no_reply_of_a_shared_request_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asking: Asking, states: list[str]
) -> None:
    async def few(failure: Failure) -> Response:
        return JSONResponse(failure.body | {"choices": failure.body["choices"][:1]})

    monkeypatch.setitem(FAILURES, "few", few)
    with serving(Script(failures={"few": 1.0})) as server:
        given_ = Settings(
            model=(server.model,), price={server.model: (1.0, 2.0)}, reply_tokens=64
        )
        asked = ask_all(tmp_path, given_, 3, asking, shared=SharedPrompt(0, 3))
        assert all(hasattr(e, "text") for e in asked.ended)
        assert server.app.calls == len(asked.calls)
        assert [c.state.value for c in asked.calls] == states
        assert_adds_up(asked)


def test_those_who_share_are_known_by_their_numbers() -> None:
    one = Proposal(derive_id(7, 4), 4, State.PLANNED, "diff", (), 0, 0.0)
    assert [(p.number, p.id) for p in proposals_of(SharedPrompt(3, 2), one, 7)] == [
        (3, derive_id(7, 3)),
        (4, derive_id(7, 4)),
    ]


@given(
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 90),
    st.integers(1, 50),
    st.booleans(),
)
def test_shares_are_the_whole(
    asked: int, given_: int, prompt: int, completion: int, cached: bool
) -> None:
    """Each has its reply and its share; who got none has cost nothing."""
    price = Price(1.0, 4.0, 0.5, 16.0)
    calls = [
        Call(n, str(n), CallPurpose.PROPOSE, 0, "m", "", CallState.SENT, 1000, 2000.0)
        for n in range(asked)
    ]
    reply = Completion(
        tuple(Reply(f"reply {n}", "stop") for n in range(given_)),
        prompt,
        completion,
        prompt // 2 if cached else 0,
    )
    kept = shares(calls, reply, price, 2.0)
    answered, lost = kept[:given_], kept[given_:]
    assert [call.id for call in kept] == list(range(asked))
    assert [(c.reply, c.finish_reason, c.state) for c in answered] == [
        (f"reply {n}", "stop", CallState.REPLIED) for n in range(len(answered))
    ]
    assert all(
        (c.reply, c.cost_usd, c.prompt_tokens, c.completion_tokens, c.state)
        == (None, 0.0, 0, 0, CallState.FAILED)
        and c.error
        for c in lost
    )
    assert [c.prompt_tokens for c in answered] == [prompt] + [0] * (len(answered) - 1)
    tokens = [c.completion_tokens for c in answered]
    assert sum(tokens) == completion and max(tokens) - min(tokens) <= 1
    assert sum(c.cost_usd for c in kept) == price.cost(
        prompt, completion, reply.cached_tokens, 2.0
    )
    assert [c.cost_usd for c in answered[1:]] == [4.0 * n for n in tokens[1:]]
    assert {c.seconds for c in kept} == {2.0}


def test_an_estimated_share_is_marked_and_never_more_than_its_reservation() -> None:
    calls = [
        Call(n, str(n), CallPurpose.PROPOSE, 0, "m", "", CallState.SENT, 100, 50.0)
        for n in range(2)
    ]
    answer = Completion(
        (Reply("a", None), Reply("b", None)),
        *(30, 240),
        estimated=True,
        remarks=("counted", "counted"),
    )
    kept = shares(calls, answer, Price(1, 1), 2.0)
    assert [(c.prompt_tokens, c.completion_tokens, c.cost_usd) for c in kept] == [
        (30, 70, 50.0),
        (0, 100, 50.0),
    ]
    assert [c.error for c in kept] == ["counted", "counted"]


def test_what_a_call_costs() -> None:
    assert Price(3, 5, 2, 7).cost(10, 4, 6, 2.0) == 4 * 3 + 6 * 2 + 4 * 5 + 2 * 7
    assert Price(3, 5).cost(10, 4, 6, 2.0) == 10 * 3 + 4 * 5, (
        "from a cache as from none"
    )
    assert Price(3, 5, 0.0).cost(10, 4, 6) == 4 * 3 + 4 * 5, "from a cache for nothing"
    assert Price(3, 5, 2, 7).cost(10, 4) == 10 * 3 + 4 * 5


@given(
    *[st.integers(0, 8)] * 2,
    st.none() | st.integers(0, 16),
    st.integers(0, 4),
    *[st.integers(0, 100)] * 3,
)
def test_a_bound_is_the_dearest_call_and_no_dearer(
    prompt_usd: int,
    reply_usd: int,
    cached_usd: int | None,
    second_usd: int,
    prompt: int,
    reply: int,
    seconds: int,
) -> None:
    price = Price(prompt_usd, reply_usd, cached_usd, second_usd)
    assert price.bound(prompt, reply, seconds) == max(
        price.cost(prompt, reply, cached, seconds) for cached in range(prompt + 1)
    )


@pytest.mark.parametrize(
    ("prices", "seconds", "price"),
    [
        ({}, None, Price(0.0, 0.0)),  # one's own server sends no bill
        ({}, {}, Price(0.0, 0.0)),
        ({"hosted_vllm/x": (1e6, 2e6)}, None, Price(1.0, 2.0)),
        (
            {"hosted_vllm/x": (1e6, 2e6), OWN: (3e6, 4e6, 5e6)},
            None,
            Price(3.0, 4.0, 5.0),
        ),
        ({"hosted_vllm/y": (1e6, 2e6)}, {"hosted_vllm/y": 1.0}, Price(0.0, 0.0)),
        ({}, {"hosted_vllm/x": 0.5}, Price(0.0, 0.0, None, 0.5)),
        (
            {OWN: (1e6, 2e6)},
            {"hosted_vllm/x": 0.5, OWN: 0.25},
            Price(1.0, 2.0, None, 0.25),
        ),
    ],
)
def test_prices_of_ones_own_server(
    prices: dict[str, tuple[float, ...]], seconds: dict[str, float] | None, price: Price
) -> None:
    assert price_of(parse_model(OWN), prices, seconds) == price


def test_prices_of_providers_are_those_that_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as loading it does, for good
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    row = load_litellm("the test").model_cost["gpt-4o-mini"]
    listed = Price(
        row["input_cost_per_token"],
        row["output_cost_per_token"],
        row["cache_read_input_token_cost"],
    )
    model = parse_model("openai/gpt-4o-mini")
    assert price_of(model, {}) == price_of(model, {}, {"openai/other": 1.0}) == listed
    assert price_of(model, {"openai/gpt-4o-mini": (1e6, 2e6)}) == Price(1.0, 2.0)
    assert price_of(model, {}, {"openai/gpt-4o-mini": 0.5}) == Price(
        0.0, 0.0, None, 0.5
    )
    with pytest.raises(ConfigError, match="not known"):
        price_of(parse_model("openai/nobody-knows-it"), {})
    with pytest.raises(ConfigError, match="unknown provider 'opneai'"):
        price_of(parse_model("opneai/gpt-4o-mini"), {"opneai/gpt-4o-mini": (1.0, 1.0)})


def test_a_rate_is_that_of_the_model_at_its_address_else_of_its_name() -> None:
    def limit(**rates: int) -> int | None:
        return _limit_of(
            parse_model(OWN), Settings(model=(OWN,), requests_per_minute=rates)
        )

    assert limit(**{OWN: 2, "hosted_vllm/x": 3}) == 2
    assert limit(**{"hosted_vllm/x": 3}) == 3
    assert limit(**{"hosted_vllm/y": 3}) is None
