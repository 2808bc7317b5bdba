"""Calls as rows: reserved before they leave, stored before they are read, never paid for twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import tenacity

from archive import Call, CallState, Proposal, Spend
from evolve.config import Settings
from evolve.errors import RunError
from evolve.llm.client import GRACE_S, Client, Completion
from evolve.llm.faults import ModelError, ModelFault
from evolve.llm.names import ModelName, parse_model
from evolve.llm.prices import Price, price_of
from evolve.llm.rate import Rate

ATTEMPTS = 3  # at least; then for as long as `patience_s` allows
LONGEST_PAUSE_S = 20.0
SLACK_S = 60.0  # a call is not cut off to the second on a machine that is busy
_MESSAGE_TOKENS = 16  # what a chat template adds to a message, at most
Messages = list[dict[str, str]]


class OutOfBudget(Exception):
    """The next call does not fit into the budget; it was not made."""


class Overrun(RunError):
    """A server charged more than was reserved: budgets can't be kept with it."""


class Rows(Protocol):
    """Where calls are kept."""

    @property
    def spend(self) -> Spend: ...

    async def send_call(self, call: Call) -> Call: ...

    async def settle_call(self, call: Call) -> Spend: ...

    async def replies(self, proposal: str) -> list[Call]: ...


@dataclass(frozen=True)
class Answer:
    """A stored reply."""

    text: str
    finish_reason: str | None


class Caller:
    """Asks models within the budget; what is stored is never asked again."""

    def __init__(self, settings: Settings, rows: Rows, waiting: Callable[[str], None],
                 addresses: Mapping[str, str] | None = None) -> None:
        self.settings, self._rows, self._waiting = settings, rows, waiting
        self._models = [parse_model(text) for text in settings.model]
        self._prices = {name: price_of(name, settings.price, settings.price_per_second)
                        for name in self._models}
        self._rates = {name: Rate(_limit_of(name, settings)) for name in self._models}
        self._client = Client(settings.call_timeout_s, settings.temperature, addresses or {})
        self._free = asyncio.Semaphore(settings.model_calls)
        self._settled = asyncio.Condition()
        self._out = 0  # calls that are on their way

    async def ask(self, proposal: Proposal, round_: int, messages: Messages) -> Answer:
        """The reply to a round of a proposal: the stored one, else a new one.

        Raises `OutOfBudget`, `ModelError` (after retries), `Overrun`.
        """
        stored = await self._rows.replies(proposal.id)
        for call in stored:
            if call.round == round_:
                return Answer(call.reply or "", call.finish_reason)
        name = self._choose(proposal)
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_worth_another_try),
            stop=tenacity.stop_all(tenacity.stop_after_attempt(ATTEMPTS),
                                   tenacity.stop_after_delay(self.settings.patience_s)),
            reraise=True, wait=_pause_s, before_sleep=self._say_so)
        async with self._free:
            async for attempt in retrying:
                with attempt:
                    number = attempt.retry_state.attempt_number - 1
                    await self._rates[name].turn()
                    return await self._once(name, proposal, round_, number, messages)
        raise AssertionError("tenacity raises or returns")

    async def aclose(self) -> None:
        """End connections that are kept for the next call."""
        await self._client.aclose()

    def _choose(self, proposal: Proposal) -> ModelName:
        """The one that was decided on, while it is there; else one of them, by the proposal's id."""
        for name in self._models:
            if proposal.model == str(name):
                return name
        return self._models[derive_seed(proposal.id, "model") % len(self._models)]

    def _say_so(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._waiting(f"a model call failed ({error}); trying again")

    async def _once(self, name: ModelName, proposal: Proposal, round_: int, attempt: int,
                    messages: Messages) -> Answer:
        seed = derive_seed(proposal.id, f"{round_}:{attempt}")
        request = {"messages": messages, "max_tokens": self.settings.reply_tokens, "seed": seed,
                   "temperature": self.settings.temperature}
        call = await self._reserve(Call(
            0, proposal.id, round_, attempt, str(name), json.dumps(request), CallState.SENT,
            *self._bound(name, messages)))
        started = time.perf_counter()
        try:
            reply = await self._client.complete(name, messages, self.settings.reply_tokens, seed)
        except ModelError as error:
            lost = error.fault is ModelFault.UNKNOWN
            if error.retry_after_s is not None:
                self._rates[name].pause(error.retry_after_s)
            await self._settle(replace(call, error=error.message,
                                       state=CallState.UNCERTAIN if lost else CallState.FAILED,
                                       seconds=time.perf_counter() - started))
            raise
        return await self._keep(call, reply, self._prices[name], time.perf_counter() - started)

    def _bound(self, name: ModelName, messages: Sequence[Mapping[str, str]]) -> tuple[int, float]:
        """Tokens and dollars that the call can't exceed: a token is at least one byte."""
        prompt = sum(len(m["content"].encode()) + _MESSAGE_TOKENS for m in messages)
        reply = self.settings.reply_tokens
        seconds = self.settings.call_timeout_s + GRACE_S + SLACK_S
        return prompt + reply, self._prices[name].bound(prompt, reply, seconds)

    async def _reserve(self, call: Call) -> Call:
        """Commit the call with its reservation; wait while others may give some back."""
        async with self._settled:
            while (limit := self._limit(call)) is not None:
                if self._out == 0:
                    raise OutOfBudget(f"{limit} would be passed by the next model call")
                await self._settled.wait()
            sent = await self._rows.send_call(call)
            self._out += 1
            return sent

    def _limit(self, call: Call) -> str | None:
        """The budget that this call might pass; None when it fits."""
        spend, settings = self._rows.spend, self.settings
        if settings.max_calls is not None and spend.calls + 1 > settings.max_calls:
            return f"max_calls = {settings.max_calls}"
        if settings.max_tokens is not None and (
                spend.tokens + call.reserved_tokens > settings.max_tokens):
            return f"max_tokens = {settings.max_tokens}"
        if settings.budget_usd is not None and spend.usd + call.reserved_usd > settings.budget_usd:
            return f"budget_usd = {settings.budget_usd:g}"
        return None

    async def _keep(self, call: Call, reply: Completion, price: Price, seconds: float) -> Answer:
        prompt, completion = reply.prompt_tokens, reply.completion_tokens
        cost = price.cost(prompt, completion, reply.cached_tokens, seconds)
        if not reply.believable:  # then the most that it can have been
            completion = self.settings.reply_tokens
            prompt, cost = call.reserved_tokens - completion, call.reserved_usd
        await self._settle(replace(
            call, state=CallState.REPLIED, reply=reply.text, finish_reason=reply.finish_reason,
            prompt_tokens=prompt, completion_tokens=completion, cost_usd=cost, seconds=seconds))
        used = prompt + completion
        if used > call.reserved_tokens or cost > call.reserved_usd + 1e-12:
            raise Overrun(f"{call.model} reports {used} tokens for a call that can't exceed "
                          f"{call.reserved_tokens}", "its usage can't be trusted, so no budget holds")
        return Answer(reply.text, reply.finish_reason)

    async def _settle(self, call: Call) -> None:
        async with self._settled:
            self._out -= 1
            try:
                await self._rows.settle_call(call)
            finally:
                self._settled.notify_all()


class RecordedCaller:
    """Answers from another run's rows: nothing is sent and nothing is paid."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._replies = {(call.proposal, call.round): call for call in calls
                         if call.state is CallState.REPLIED}
        self._refused = {(call.proposal, call.round): call.error or "" for call in calls
                         if call.state is CallState.FAILED}

    async def ask(self, proposal: Proposal, round_: int, messages: Messages) -> Answer:
        """The recorded reply of that proposal and round. Raises `RunError` when there is none."""
        call = self._replies.get((proposal.id, round_))
        if call is None and (round_ > 0 or (proposal.id, round_) in self._refused):
            # It was refused then, or there was no budget for a repair.
            raise ModelError(ModelFault.PROMPT, self._refused.get((proposal.id, round_), "not asked"))
        if call is None:
            raise RunError(f"no reply is recorded for {proposal.id}, round {round_}",
                           "the record is not of a finished run; resume it first")
        return Answer(call.reply or "", call.finish_reason)


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
    return isinstance(error, ModelError) and error.fault in (ModelFault.TRY_AGAIN,
                                                            ModelFault.UNKNOWN)
