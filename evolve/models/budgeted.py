"""Calls as rows: reserved before they leave, stored before they are read, never paid for twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar

import tenacity

from evolve.archive import (
    Call,
    CallPurpose,
    CallState,
    Proposal,
    SharedPrompt,
    Spend,
)
from evolve.config import Settings
from evolve.errors import RunError
from evolve.models.client import GRACE_S, Client, Completion, Messages, SamplingParams
from evolve.models.embeddings import pack_numbers, unpack_numbers
from evolve.models.episodes import Episode
from evolve.models.errors import ModelError, ModelFault
from evolve.models.names import ModelName, asked_models, parse_model
from evolve.models.prices import Price, price_of
from evolve.models.protocol import Answer
from evolve.models.rate_limit import Rate
from evolve.models.samples import proposals_of, shares

ATTEMPTS = 3  # at least; then for as long as `patience_s` allows
LONGEST_PAUSE_S = 20.0
TICK_S = 0.2
SLACK_S = 60.0  # a call is not cut off to the second on a machine that is busy
_MESSAGE_TOKENS = 16  # what a chat template adds to a message, at most
_T = TypeVar("_T")


class OutOfBudget(Exception):
    """The next call does not fit into the budget; it was not made."""


class Interrupted(OutOfBudget):
    """The run was asked to stop before this call left: it is made when the run goes on."""


class Overrun(RunError):
    """A server charged more than was reserved: budgets can't be kept with it."""


class Rows(Protocol):
    """Where calls are kept."""

    @property
    def spend(self) -> Spend: ...

    def reserve(self, calls: Sequence[Call]) -> None: ...

    async def send_calls(self, calls: Sequence[Call]) -> list[Call]: ...

    async def settle_calls(self, calls: Sequence[Call]) -> Spend: ...

    async def replies(self, proposal: str, ended: bool = False) -> list[Call]: ...


class Question(NamedTuple):
    """Which question about a proposal a call asks."""

    purpose: CallPurpose
    step: int = 0

    @property
    def number(self) -> int:
        """A number of its own for each; the seed that is sent to a model is drawn from it."""
        if self.purpose is CallPurpose.NOTES:
            return self.step
        if self.purpose is CallPurpose.JUDGE:
            return -2 - self.step
        return 1 if self.purpose is CallPurpose.REPAIR else 0


class BudgetedModels:
    """Asks models within the budget; what is stored is never asked again."""

    def __init__(
        self,
        settings: Settings,
        rows: Rows,
        waiting: Callable[[str], None],
        addresses: Mapping[str, str] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stopping` tells when nobody wants to wait for an endpoint any longer."""
        self._stopping = stopping
        self.settings, self._rows, self._waiting = settings, rows, waiting
        self._models = [parse_model(text) for text in settings.model]
        asked = [parse_model(text) for text in asked_models(settings)]
        self._prices = {
            name: price_of(name, settings.price, settings.price_per_second)
            for name in asked
        }
        self._rates = {
            name: Rate(_limit_of(name, settings), sleep=self._wait) for name in asked
        }
        self._client = Client(settings.call_timeout_s, addresses or {})
        # requests for several, by the first number
        self._shared: dict[int, asyncio.Task[object]] = {}
        self._free = asyncio.Semaphore(settings.model_calls)
        self._settled = asyncio.Condition()
        self._out = 0  # calls that are on their way

    async def ask(
        self,
        proposal: Proposal,
        purpose: CallPurpose,
        messages: Messages,
        *,
        model: str | None = None,
        step: int = 0,
    ) -> Answer:
        """Return the stored reply to this question, else a new one.

        Proposals that share a prompt are answered by one request: the first that asks, asks for all
        of them, and the others find their replies stored. For arguments and errors see `Models.ask`.
        """
        question = Question(purpose, step)
        stored = await self._stored(proposal, question)
        shared = proposal.decision.shared
        if stored is None and purpose is CallPurpose.PROPOSE and shared is not None:
            await self._ask_for_all(shared, proposal, messages)
            # none: the server gave fewer than asked
            stored = await self._stored(proposal, question)
        if stored is not None:
            return stored
        name = parse_model(model) if model else self._choose(proposal)
        return (await self._ask(name, [proposal], question, messages))[0]

    async def embed(self, proposal: Proposal, text: str) -> list[float]:
        """The vector of a text by the run's model of vectors: the stored one, else a new one.

        Raises as `ask` does.
        """
        for call in await self._rows.replies(proposal.id):
            if (
                call.purpose is CallPurpose.EMBED
                and json.loads(call.request)["input"] == text
            ):
                return unpack_numbers(call.reply or "")
        assert self.settings.embedding is not None
        name = parse_model(self.settings.embedding)
        return await self._patiently(
            name, lambda attempt: self._embed_once(name, proposal, attempt, text)
        )

    async def _embed_once(
        self, name: ModelName, proposal: Proposal, attempt: int, text: str
    ) -> list[float]:
        tokens, usd = self._bound(name, [{"content": text}], 0)
        sent = await self._reserve(
            [
                Call(
                    0,
                    proposal.id,
                    CallPurpose.EMBED,
                    attempt,
                    str(name),
                    json.dumps({"input": text}),
                    CallState.SENT,
                    tokens,
                    usd,
                )
            ]
        )
        started = time.perf_counter()
        found = await self._or_settle(name, sent, self._client.embed(name, [text]))
        seconds, numbers = time.perf_counter() - started, pack_numbers(found.vectors[0])
        cost = self._prices[name].cost(found.tokens, 0, 0, seconds)
        await self._settle(
            [
                replace(
                    sent[0],
                    state=CallState.REPLIED,
                    reply=numbers,
                    seconds=seconds,
                    prompt_tokens=found.tokens,
                    cost_usd=cost,
                )
            ]
        )
        return unpack_numbers(numbers)

    async def stored_steps(
        self, proposal: Proposal, episode: Episode
    ) -> dict[int, Call]:
        """Replies of an earlier life of an agent's episode, by step."""
        return episode.steps(await self._rows.replies(proposal.id))

    def step_bound(
        self, proposal: Proposal, messages: Messages, reply_tokens: int
    ) -> tuple[int, float]:
        """Tokens and dollars that a reply to these messages can't exceed."""
        return self._bound(self._choose(proposal), messages, reply_tokens)

    async def step(
        self,
        proposal: Proposal,
        episode: Episode,
        number: int,
        messages: Messages,
        reply_tokens: int,
        temperature: float | None,
    ) -> Call:
        """A new reply to an agent. Raises as `ask` does."""
        name = self._choose(proposal)
        if temperature is None:
            temperature = self._temperature(proposal)

        async def once(attempt: int) -> Call:
            seed = derive_seed(proposal.id, f"{episode}:{number}:{attempt}")
            ask = SamplingParams(reply_tokens, seed, temperature)
            sent = await self._reserve(
                [
                    Call(
                        0,
                        proposal.id,
                        CallPurpose.EPISODE,
                        attempt,
                        str(name),
                        json.dumps(episode.mark(ask.request(messages), number)),
                        CallState.SENT,
                        *self._bound(name, messages, reply_tokens),
                        step=number,
                    )
                ]
            )
            started = time.perf_counter()
            reply = await self._or_settle(
                name, sent, self._client.complete(name, messages, ask)
            )
            return (
                await self._keep(
                    sent, reply, self._prices[name], time.perf_counter() - started
                )
            )[0]

        return await self._patiently(name, once, midway=True)

    async def _stored(self, proposal: Proposal, question: Question) -> Answer | None:
        for call in await self._rows.replies(proposal.id):
            if (call.purpose, call.step) == question:
                return Answer(call.reply or "", call.finish_reason)
        return None

    async def _ask_for_all(
        self, shared: SharedPrompt, proposal: Proposal, messages: Messages
    ) -> None:
        """One request for this proposal and those after it that have the same prompt."""
        under_way = self._shared.get(shared.first)
        if under_way is None:  # nothing is awaited before the others can find it
            under_way = asyncio.create_task(
                self._ask_missing(shared, proposal, messages)
            )
            self._shared[shared.first] = under_way
            under_way.add_done_callback(lambda _: self._shared.pop(shared.first, None))
        await asyncio.shield(under_way)

    async def _ask_missing(
        self, shared: SharedPrompt, proposal: Proposal, messages: Messages
    ) -> None:
        """One request for those that share a prompt and have no reply yet."""
        asked = [
            each
            for each in proposals_of(shared, proposal, self.settings.seed)
            if not await self._rows.replies(each.id, ended=True)
        ]
        await self._ask(
            self._choose(asked[0]), asked, Question(CallPurpose.PROPOSE), messages
        )

    async def _ask(
        self,
        name: ModelName,
        asking: Sequence[Proposal],
        question: Question,
        messages: Messages,
    ) -> list[Answer]:
        """New replies, for one proposal or for several that share a prompt."""
        return await self._patiently(
            name, lambda attempt: self._once(name, asking, question, attempt, messages)
        )

    async def _patiently(
        self,
        name: ModelName,
        once: Callable[[int], Awaitable[_T]],
        midway: bool = False,
    ) -> _T:
        """Try again as long as it is worth it, `once` with the number of the attempt.

        Nothing that is new leaves after a stop; what is `midway`, as an agent is, may finish.
        """
        patience = tenacity.stop_all(
            tenacity.stop_after_attempt(ATTEMPTS),
            tenacity.stop_after_delay(self.settings.patience_s),
        )
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_worth_another_try),
            stop=lambda state: self._stopping() or patience(state),
            sleep=self._wait,
            reraise=True,
            wait=_pause_s,
            before_sleep=self._say_so,
        )
        async with self._free:
            try:
                async for attempt in retrying:
                    with attempt:
                        await self._rates[name].turn()
                        if self._stopping() and not midway:
                            raise Interrupted("interrupted")
                        return await once(attempt.retry_state.attempt_number - 1)
            except ModelError as error:
                if self._stopping() and _worth_another_try(error):
                    raise Interrupted("interrupted") from None
                raise
        raise AssertionError("tenacity raises or returns")

    async def aclose(self) -> None:
        """End what is still asked for several, and the connections kept for the next call."""
        under_way = list(self._shared.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._client.aclose()

    def _choose(self, proposal: Proposal) -> ModelName:
        """The one that was decided on, while it is there; else one of them, by the proposal's id."""
        for name in self._models:
            if proposal.model == str(name):
                return name
        return self._models[derive_seed(proposal.id, "model") % len(self._models)]

    def _say_so(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        left = max(0.0, self.settings.patience_s - (state.seconds_since_start or 0.0))
        self._waiting(
            f"a model call failed ({error}); trying again, for {left:.0f} s at most"
        )

    async def _sleep(self, seconds: float) -> None:
        """As long as that, or until nobody waits for it."""
        over = time.monotonic() + seconds
        while (left := over - time.monotonic()) > 0 and not self._stopping():
            await asyncio.sleep(min(left, TICK_S))

    async def _wait(self, seconds: float) -> None:
        """For one's turn. Raises `Interrupted`: nobody pays for a call that need not leave any more."""
        await self._sleep(seconds)
        if self._stopping():
            raise Interrupted("interrupted")

    async def _once(
        self,
        name: ModelName,
        asking: Sequence[Proposal],
        question: Question,
        attempt: int,
        messages: Messages,
    ) -> list[Answer]:
        first = asking[0]
        ask = SamplingParams(
            self.settings.reply_tokens,
            derive_seed(first.id, f"{question.number}:{attempt}"),
            self._temperature(first),
            len(asking),
        )
        request = json.dumps(ask.request(messages))
        calls = await self._reserve(
            [
                Call(
                    0,
                    each.id,
                    question.purpose,
                    attempt,
                    str(name),
                    request,
                    CallState.SENT,
                    *self._bound(
                        name, () if place else messages, self.settings.reply_tokens
                    ),
                    step=question.step,
                )
                for place, each in enumerate(asking)
            ]
        )
        started = time.perf_counter()
        reply = await self._or_settle(
            name, calls, self._client.complete(name, messages, ask)
        )
        kept = await self._keep(
            calls, reply, self._prices[name], time.perf_counter() - started
        )
        return [Answer(call.reply or "", call.finish_reason) for call in kept]

    async def _or_settle(
        self, name: ModelName, calls: Sequence[Call], request: Awaitable[_T]
    ) -> _T:
        """What the request gives; where it fails, its calls have ended, charged or not."""
        started = time.perf_counter()
        try:
            return await request
        except ModelError as error:
            lost = error.fault is ModelFault.UNKNOWN
            if error.retry_after_s is not None:
                self._rates[name].pause(error.retry_after_s)
            state, seconds = (
                CallState.UNCERTAIN if lost else CallState.FAILED,
                time.perf_counter() - started,
            )
            await self._settle(
                [
                    replace(call, error=error.message, seconds=seconds, state=state)
                    for call in calls
                ]
            )
            raise

    def _temperature(self, proposal: Proposal) -> float:
        """From the schedule, by the number of the decision."""
        schedule = self.settings.temperature
        return schedule[proposal.number % len(schedule)]

    def _bound(
        self, name: ModelName, messages: Sequence[Mapping[str, str]], reply: int
    ) -> tuple[int, float]:
        """Tokens and dollars that a reply can't exceed: a token is at least one byte.

        Of several replies to one request the first one bears the prompt and the time.
        """
        prompt = sum(len(m["content"].encode()) + _MESSAGE_TOKENS for m in messages)
        seconds = self.settings.call_timeout_s + GRACE_S + SLACK_S if messages else 0.0
        return prompt + reply, self._prices[name].bound(prompt, reply, seconds)

    async def _reserve(self, calls: Sequence[Call]) -> list[Call]:
        """Commit the calls with their reservations; wait while others may give some back."""
        async with self._settled:
            while (limit := self._limit(calls)) is not None:
                if self._out == 0:
                    raise OutOfBudget(f"{limit} would be passed by the next model call")
                await self._settled.wait()
            self._rows.reserve(calls)
            self._out += 1
        try:
            # many at once: they share a transaction
            return await self._rows.send_calls(calls)
        except BaseException:
            await self._came_back()
            raise

    def _limit(self, calls: Sequence[Call]) -> str | None:
        """The budget that these calls might pass; None when they fit."""
        spend, settings = self._rows.spend, self.settings
        tokens = spend.tokens + sum(call.reserved_tokens for call in calls)
        usd = spend.usd + sum(call.reserved_usd for call in calls)
        if (
            settings.max_calls is not None
            and spend.calls + len(calls) > settings.max_calls
        ):
            return f"max_calls = {settings.max_calls}"
        if settings.max_tokens is not None and tokens > settings.max_tokens:
            return f"max_tokens = {settings.max_tokens}"
        if settings.budget_usd is not None and usd > settings.budget_usd:
            return f"budget_usd = {settings.budget_usd:g}"
        return None

    async def _keep(
        self, calls: Sequence[Call], reply: Completion, price: Price, seconds: float
    ) -> list[Call]:
        """Settle each reply with its share of the usage: the sum is what the server reports."""
        kept = shares(calls, reply, price, seconds)
        await self._settle(kept)
        for call, reserved in zip(kept, calls, strict=True):
            used = call.prompt_tokens + call.completion_tokens
            if (
                used > reserved.reserved_tokens
                or call.cost_usd > reserved.reserved_usd + 1e-12
            ):
                raise Overrun(
                    f"{call.model} reports {used} tokens for a call that can't exceed "
                    f"{reserved.reserved_tokens}",
                    "its usage can't be trusted, so no budget holds",
                )
        return kept

    async def _settle(self, calls: Sequence[Call]) -> None:
        try:
            await self._rows.settle_calls(calls)
        finally:
            await self._came_back()

    async def _came_back(self) -> None:
        """Who waits for budget may look again."""
        async with self._settled:
            self._out -= 1
            self._settled.notify_all()


def derive_seed(proposal: str, purpose: str) -> int:
    """A fresh seed for each attempt, the same when it is repeated."""
    digest = hashlib.blake2b(f"{proposal}:{purpose}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def _limit_of(name: ModelName, settings: Settings) -> int | None:
    limits = settings.requests_per_minute
    return limits.get(str(name), limits.get(name.model))


def _pause_s(state: tenacity.RetryCallState) -> float:
    """What the server asked for, which its rate keeps; else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ModelError) and error.retry_after_s is not None:
        return 0.0
    return _BACK_OFF(state)


_BACK_OFF = tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE_S)


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, ModelError) and error.fault in (
        ModelFault.TRY_AGAIN,
        ModelFault.UNKNOWN,
    )
