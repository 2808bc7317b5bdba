"""Calls as rows: reserved before sending, stored before use, never paid twice."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import tenacity

from evolve.archive import (
    ADAPTED,
    ArchiveReader,
    Call,
    CallPurpose,
    CallState,
    Proposal,
    Reply,
    SharedPrompt,
    Spend,
)
from evolve.config import Settings
from evolve.errors import RunError
from evolve.models.client import GRACE_S, Client, Messages, SamplingParams
from evolve.models.embeddings import pack_numbers, unpack_numbers
from evolve.models.episodes import Episode
from evolve.models.errors import Adapted, ModelError, ModelFault
from evolve.models.meeting import Meeting
from evolve.models.names import ModelName, asked_models, parse_model
from evolve.models.prices import price_of
from evolve.models.rate_limit import Rate
from evolve.models.samples import proposals_of, shares

ATTEMPTS = 3  # the minimum; further ones until `patience_s` is over
LONGEST_PAUSE_S = 20.0
TICK_S = 0.2
SLACK_S = 60.0  # on a busy machine a call may be cut off late
_MESSAGE_TOKENS = 16  # the most that a chat template adds to a message
ESTIMATED = "tokens estimated: the server reports no usage"
_T = TypeVar("_T")


class OutOfBudget(Exception):
    """The next call does not fit into the budget; it was not made."""


class Interrupted(OutOfBudget):
    """The run was asked to stop before this call was sent; a resumed run makes it."""


class Overrun(RunError):
    """A server charged more than was reserved, so budgets can't be kept with it."""


class Rows(Protocol):
    """Storage for calls, and the sums of their reservations and costs."""

    @property
    def spend(self) -> Spend:
        """Costs of settled calls plus the reservations of all others."""

    def reserve(self, calls: Sequence[Call]) -> None:
        """Add the reservations of the calls of one request to `spend`."""

    async def send_calls(self, calls: Sequence[Call]) -> list[Call]:
        """Store reserved calls before their request is sent; return them with their ids."""

    async def settle_calls(self, calls: Sequence[Call]) -> Spend:
        """Store finished calls of one request with their cost; return the new `spend`."""

    async def replies(self, proposal: str, ended: bool = False) -> list[Call]:
        """Return a proposal's calls with a stored reply; `ended`: it may be finished."""

    async def note(self, kind: str, data: Mapping[str, object]) -> None:
        """Store an event of the run itself."""


class Before(NamedTuple):
    """What a run knew about its models before a restart.

    Attributes:
        answered: models that have replied
        learned: model -> the form of a request that it accepts, as `Manner.as_data`
    """

    answered: Collection[str] = ()
    learned: Mapping[str, Mapping[str, Any]] = {}

    @classmethod
    def of(cls, archive: ArchiveReader) -> "Before":
        """Read what an earlier process of a run has learned.

        Args:
            archive: of the run

        Returns:
            The models that have replied, and how they want to be asked.
        """
        events = archive.events(kinds=(ADAPTED,))
        return cls(
            archive.answering_models(),
            {event.data["model"]: event.data["learned"] for event in events},
        )


NOTHING_BEFORE = Before()


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


class _Done(NamedTuple, Generic[_T]):
    """The result of a request, with its calls as they were sent."""

    calls: list[Call]
    result: _T
    seconds: float


class BudgetedModels:
    """Client that asks models within the budget and never repeats a stored call."""

    def __init__(
        self,
        settings: Settings,
        rows: Rows,
        waiting: Callable[[str], None],
        addresses: Mapping[str, str] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Create a caller.

        Args:
            settings: models, budgets, limits and sampling parameters
            rows: storage for calls
            waiting: called with a message for people before each retry
            addresses: model name -> address, for models served by this run
            stopping: whether the run is stopping, so that no new call may be sent
        """
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
        self._client = Client(
            settings.call_timeout_s, addresses or {}, settings.model_options
        )
        self._meetings = {
            name: Meeting(name, settings, self._client.options_of(name), waiting)
            for name in asked
        }
        # requests shared by several proposals, by the first decision number
        self._shared: dict[int, asyncio.Task[object]] = {}
        self._free = asyncio.Semaphore(settings.model_calls)
        self._settled = asyncio.Condition()
        self._out = 0  # requests in flight

    async def meet(self, before: Before = NOTHING_BEFORE) -> None:
        """Ask the servers for the contexts of the models, and go on from before a restart.

        Args:
            before: the knowledge when the run stopped

        Raises:
            ModelError: no server listens where one must, and it never did in this run
        """
        for name, meeting in self._meetings.items():
            if str(name) in before.answered:
                meeting.has_answered()
            if str(name) in before.learned:
                meeting.manner.restore(before.learned[str(name)])
        await asyncio.gather(
            *(meeting.look(self._client) for meeting in self._meetings.values())
        )

    def prompt_room(self, proposal: Proposal) -> int | None:
        """Return the longest prompt that the model of a proposal takes.

        Args:
            proposal: with or without a decided model

        Returns:
            Tokens; None if the model's context is not known.
        """
        if not self._models:
            return None
        return self._meetings[self._choose(proposal)].prompt_room

    async def ask(
        self,
        proposal: Proposal,
        purpose: CallPurpose,
        messages: Messages,
        *,
        model: str | None = None,
        step: int = 0,
    ) -> Reply:
        """Return the stored reply to this question, else a new one.

        Proposals that share a prompt are answered by one request: the first that asks, asks for all
        of them, and the others find their replies stored. For arguments and errors see `Models.ask`.
        """
        question = Question(purpose, step)
        stored = await self._stored(proposal, question)
        shared = proposal.decision.shared
        if stored is None and purpose is CallPurpose.PROPOSE and shared is not None:
            under_way = self._shared.get(shared.first)
            if under_way is None:  # no await before the others can find the task
                under_way = asyncio.create_task(
                    self._ask_missing(shared, proposal, messages)
                )
                self._shared[shared.first] = under_way
                under_way.add_done_callback(
                    lambda _: self._shared.pop(shared.first, None)
                )
            await asyncio.shield(under_way)
            # none: the server gave fewer than asked
            stored = await self._stored(proposal, question)
        if stored is not None:
            return stored
        name = parse_model(model) if model else self._choose(proposal)
        return (await self._ask(name, [proposal], question, messages))[0]

    async def embed(self, proposal: Proposal, text: str) -> list[float]:
        """Return the vector of a text: the stored one, or a new one.

        Args:
            proposal: the proposal that the call belongs to
            text: the text to embed

        Returns:
            As many numbers as the run's embedding model makes.

        Raises:
            OutOfBudget: the call does not fit into the budget, or the run is stopping
            ModelError: no reply after all retries
            Overrun: the server charged more than was reserved
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
        request = json.dumps({"input": text})
        call = Call(
            0,
            proposal.id,
            CallPurpose.EMBED,
            attempt,
            str(name),
            request,
            CallState.SENT,
            tokens,
            usd,
        )
        done = await self._send(name, [call], lambda: self._client.embed(name, [text]))
        self._meetings[name].has_answered()
        numbers, used = pack_numbers(done.result.vectors[0]), done.result.tokens
        settled = replace(
            done.calls[0],
            state=CallState.REPLIED,
            reply=numbers,
            seconds=done.seconds,
            prompt_tokens=used,
            cost_usd=self._prices[name].cost(used, 0, 0, done.seconds),
            error=ESTIMATED if done.result.estimated else None,
        )
        await self._settle([settled])
        return unpack_numbers(numbers)

    async def stored_steps(
        self, proposal: Proposal, episode: Episode
    ) -> dict[int, Call]:
        """Return the stored replies of an episode, from before a restart.

        Args:
            proposal: the agent
            episode: purpose and attempt

        Returns:
            Step number -> call.
        """
        return episode.steps(await self._rows.replies(proposal.id))

    def step_bound(
        self, proposal: Proposal, messages: Messages, reply_tokens: int
    ) -> tuple[int, float]:
        """Return the most that a reply to these messages can use.

        Args:
            proposal: the agent
            messages: the chat
            reply_tokens: limit of the reply

        Returns:
            Tokens of prompt and reply, and dollars.
        """
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
        """Ask for one step of an agent's episode.

        Args:
            proposal: the agent
            episode: purpose and attempt
            number: of the step, from 0
            messages: the chat
            reply_tokens: limit of the reply
            temperature: None for the run's schedule

        Returns:
            The settled call with its reply.

        Raises:
            OutOfBudget: the call does not fit into the budget, or the run is stopping
            ModelError: no reply after all retries
            Overrun: the server charged more than was reserved
        """
        name = self._choose(proposal)
        if temperature is None:
            temperature = self._temperature(proposal)

        async def once(attempt: int) -> Call:
            seed = derive_seed(proposal.id, f"{episode}:{number}:{attempt}")
            ask = self._meetings[name].params(messages, reply_tokens, seed, temperature)
            call = Call(
                0,
                proposal.id,
                CallPurpose.EPISODE,
                attempt,
                str(name),
                json.dumps(episode.mark(ask.request(messages), number)),
                CallState.SENT,
                *self._bound(name, messages, ask.max_tokens),
                step=number,
            )
            return (await self._complete(name, [call], messages, ask))[0]

        return await self._patiently(name, once, midway=True)

    async def _stored(self, proposal: Proposal, question: Question) -> Reply | None:
        for call in await self._rows.replies(proposal.id):
            if (call.purpose, call.step) == question:
                return call.answer
        return None

    async def _ask_missing(
        self, shared: SharedPrompt, proposal: Proposal, messages: Messages
    ) -> None:
        """Send one request for the proposals with this prompt that lack a reply."""
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
    ) -> list[Reply]:
        """Return new replies for one proposal, or for several with the same prompt."""
        return await self._patiently(
            name, lambda attempt: self._once(name, asking, question, attempt, messages)
        )

    async def _patiently(
        self,
        name: ModelName,
        once: Callable[[int], Awaitable[_T]],
        midway: bool = False,
    ) -> _T:
        """Retry a call while an error is temporary.

        After a stop no new call is sent, but a `midway` one, such as an agent's step,
        may finish.

        Args:
            name: the model, for its rate limit
            once: makes the call, given the number of the attempt from 0
            midway: the call is part of work that may finish after a stop

        Returns:
            The result of `once`.

        Raises:
            Interrupted: the run is stopping
            ModelError: a final error, or the last one when retries are over
        """
        patience = tenacity.stop_all(
            tenacity.stop_after_attempt(ATTEMPTS),
            tenacity.stop_after_delay(self.settings.patience_s),
        )
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_worth_another_try),
            stop=lambda state: (
                self._stopping() or (not _adapted(state) and patience(state))
            ),
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
                        async with self._meetings[name].turn():
                            if self._stopping() and not midway:
                                raise Interrupted("interrupted")
                            return await once(attempt.retry_state.attempt_number - 1)
            except ModelError as error:
                if self._stopping() and _worth_another_try(error):
                    raise Interrupted("interrupted") from None
                raise
        raise AssertionError("tenacity raises or returns")

    async def aclose(self) -> None:
        """Cancel shared requests and close the connections."""
        under_way = list(self._shared.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._client.aclose()

    def _choose(self, proposal: Proposal) -> ModelName:
        """Return the decided model if the run has it, else one by the proposal's id."""
        for name in self._models:
            if proposal.model == str(name):
                return name
        return self._models[derive_seed(proposal.id, "model") % len(self._models)]

    def _say_so(self, state: tenacity.RetryCallState) -> None:
        if _adapted(state):
            return  # it was reported when it was learned
        error = state.outcome.exception() if state.outcome else None
        left = self.settings.patience_s - (state.seconds_since_start or 0.0)
        limit = (
            f"for {left:.0f} s at most"
            if left > 0
            else f"attempt {state.attempt_number + 1} of {ATTEMPTS}"
        )
        hint = (
            f" · {error.hint}" if isinstance(error, ModelError) and error.hint else ""
        )
        self._waiting(f"a model call failed ({error}{hint}); trying again, {limit}")

    async def _wait(self, seconds: float) -> None:
        """Sleep before a call.

        Raises:
            Interrupted: the run is stopping; the call is not sent and costs nothing
        """
        over = time.monotonic() + seconds
        while (left := over - time.monotonic()) > 0 and not self._stopping():
            await asyncio.sleep(min(left, TICK_S))
        if self._stopping():
            raise Interrupted("interrupted")

    async def _once(
        self,
        name: ModelName,
        asking: Sequence[Proposal],
        question: Question,
        attempt: int,
        messages: Messages,
    ) -> list[Reply]:
        first = asking[0]
        if question.purpose is CallPurpose.PROPOSE:
            self._meetings[name].check_length(first.id, messages)
        ask = self._meetings[name].params(
            messages,
            self.settings.reply_tokens,
            derive_seed(first.id, f"{question.number}:{attempt}"),
            self._temperature(first),
            len(asking),
        )
        request = json.dumps(ask.request(messages))
        calls = [
            Call(
                0,
                each.id,
                question.purpose,
                attempt,
                str(name),
                request,
                CallState.SENT,
                *self._bound(name, () if place else messages, ask.max_tokens),
                step=question.step,
            )
            for place, each in enumerate(asking)
        ]
        kept = await self._complete(name, calls, messages, ask)
        return [call.answer for call in kept]

    async def _complete(
        self,
        name: ModelName,
        calls: Sequence[Call],
        messages: Messages,
        ask: SamplingParams,
    ) -> list[Call]:
        """Send a chat; settle each reply with its share of the usage that is reported."""
        meeting = self._meetings[name]
        done = await self._send(
            name,
            calls,
            lambda: self._client.complete(name, messages, ask, meeting.manner),
        )
        kept = shares(done.calls, done.result, self._prices[name], done.seconds)
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
                    "its usage can't be trusted, so budgets can't be kept",
                )
        meeting.replied(messages, done.result)
        return kept

    async def _send(
        self,
        name: ModelName,
        calls: Sequence[Call],
        request: Callable[[], Awaitable[_T]],
    ) -> _Done[_T]:
        """Reserve calls and send their request; if it fails, settle them."""
        sent = await self._reserve(calls)
        started = time.perf_counter()
        try:
            return _Done(sent, await request(), time.perf_counter() - started)
        except ModelError as error:
            lost = error.fault is ModelFault.UNKNOWN  # it may have been carried out
            if error.retry_after_s is not None:
                self._rates[name].pause(error.retry_after_s)
            state = CallState.UNCERTAIN if lost else CallState.FAILED
            seconds, message = time.perf_counter() - started, error.message
            await self._settle(
                [
                    replace(call, error=message, seconds=seconds, state=state)
                    for call in sent
                ]
            )
            judged = self._meetings[name].failed(error)
            if isinstance(judged, Adapted):
                await self._rows.note(ADAPTED, self._as_event(name, judged))
            raise judged from None

    def _as_event(self, name: ModelName, adapted: Adapted) -> dict[str, object]:
        """Return the knowledge about a model, for the record of the run."""
        manner = self._meetings[name].manner
        return {
            "model": str(name),
            "message": adapted.message,
            "learned": manner.as_data(),
        }

    def _temperature(self, proposal: Proposal) -> float:
        """Return the temperature of the schedule, by decision number."""
        schedule = self.settings.temperature
        return schedule[proposal.number % len(schedule)]

    def _bound(
        self, name: ModelName, messages: Sequence[Mapping[str, str]], reply: int
    ) -> tuple[int, float]:
        """Return tokens and dollars that a reply can't exceed.

        A token is at least one byte. Of several replies to one request, the first is
        charged for the prompt and the time.
        """
        prompt = sum(len(m["content"].encode()) + _MESSAGE_TOKENS for m in messages)
        seconds = self.settings.call_timeout_s + GRACE_S + SLACK_S if messages else 0.0
        return prompt + reply, self._prices[name].bound(prompt, reply, seconds)

    async def _reserve(self, calls: Sequence[Call]) -> list[Call]:
        """Commit the calls with their reservations.

        Wait if calls in flight may release some budget.

        Returns:
            The calls with their ids.

        Raises:
            OutOfBudget: they exceed a limit, and no call is in flight
        """
        async with self._settled:
            while (limit := self._limit(calls)) is not None:
                if self._out == 0:
                    raise OutOfBudget(f"{limit} would be passed by the next model call")
                await self._settled.wait()
            self._rows.reserve(calls)
            self._out += 1
        try:
            # Concurrent calls share a transaction.
            return await self._rows.send_calls(calls)
        except BaseException:
            await self._came_back()
            raise

    def _limit(self, calls: Sequence[Call]) -> str | None:
        """Return the budget that these calls might exceed; None if they fit."""
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

    async def _settle(self, calls: Sequence[Call]) -> None:
        try:
            await self._rows.settle_calls(calls)
        finally:
            await self._came_back()

    async def _came_back(self) -> None:
        """Wake the calls that wait for budget."""
        async with self._settled:
            self._out -= 1
            self._settled.notify_all()


def derive_seed(proposal: str, purpose: str) -> int:
    """Derive the sampling seed of a call.

    Args:
        proposal: id of the proposal
        purpose: round and attempt, so that each attempt has another seed

    Returns:
        31 bits; the same arguments give the same seed.
    """
    digest = hashlib.blake2b(f"{proposal}:{purpose}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def _limit_of(name: ModelName, settings: Settings) -> int | None:
    limits = settings.requests_per_minute
    return limits.get(str(name), limits.get(name.model))


def _pause_s(state: tenacity.RetryCallState) -> float:
    """Return the pause before the next attempt, growing exponentially.

    It is 0 if the server requested a pause, because `Rate` keeps that.
    """
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ModelError) and error.retry_after_s is not None:
        return 0.0
    return _BACK_OFF(state)


_BACK_OFF = tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE_S)


def _adapted(state: tenacity.RetryCallState) -> bool:
    """Return whether the last attempt has taught how to ask."""
    return state.outcome is not None and isinstance(state.outcome.exception(), Adapted)


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, ModelError) and error.fault in (
        ModelFault.TRY_AGAIN,
        ModelFault.UNKNOWN,
    )
