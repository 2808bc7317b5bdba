"""The agent's only access to a model: the engine's part of its proxy, with the limits of a case.

The proxy serves OpenAI-compatible chat completions, without streaming and server-side tools. It
has two parts. The *front* (`front.py`) is a process without keys, environment or budget: it holds
the box's Unix socket, all connections and all bodies, reads HTTP and JSON under limits, and hands
over one valid request after another, as roles and texts. The engine's part, here, has the keys and
the archive: it checks the limits, reserves the upper bound of the cost in the archive before the
call, and settles it in the transaction of the reply, whatever becomes of the front or the agent.
So the engine holds at most one request of a box, of at most `MAX_BODY` bytes, and one descriptor.

A step that was answered before a restart is answered from the archive, as long as the agent sends
the same request.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from evolve.agents.flags import flags_aside, flags_of_reply
from evolve.agents.front import Asked, Refusal
from evolve.agents.front_process import Front
from evolve.archive import ArchiveError, Call, Proposal
from evolve.errors import EvolveError
from evolve.models import (
    Episode,
    ModelError,
    ModelFault,
    Models,
    OutOfBudget,
    asked_the_same,
)
from evolve.sandbox import ProviderFault
from evolve.sandbox.time_limit import TimeLimit
from evolve.tasks import AgentSpec, EpisodeUsage

SHORTEST_REPLY = 16  # tokens; with less left, no model is asked
Messages = list[dict[str, str]]
Fault = OutOfBudget | EvolveError | ArchiveError | ProviderFault
_RUN_ENDED = Refusal(503, "run_ended", "the run has ended")


class Proxy:
    """Server for one episode.

    `fault` is an exception that must end the run or interrupt it; it is not the agent's
    fault.

    Args:
        models: answers requests within the budget
        proposal: owner of the calls
        episode: purpose and attempt
        limits: limits of the episode
        reply_tokens: limit of a reply
        clock: paused while a model answers
    """

    def __init__(
        self,
        models: Models,
        proposal: Proposal,
        episode: Episode,
        limits: AgentSpec,
        reply_tokens: int,
        clock: TimeLimit,
    ) -> None:
        self._models, self._proposal, self._episode = models, proposal, episode
        self._limits, self._reply_tokens, self._clock = limits, reply_tokens, clock
        self._stored: dict[int, Call] = {}
        self.used = EpisodeUsage()
        self._ended = False  # no further request is answered by a model
        # kind -> words, flags in the model's instructions to the agent
        self.signs: dict[str, str] = {}
        self.fault: Fault | None = None
        self.broken = asyncio.Event()  # set with the fault

    @asynccontextmanager
    async def serving(self, socket: Path, front: Front) -> AsyncIterator[None]:
        """Listen on a socket; calls in flight are settled before the context ends.

        Args:
            socket: path of the Unix socket
            front: process that reads what the agent sends

        Yields:
            While the socket is served.

        Raises:
            ProviderFault: the front is gone
        """
        self._stored = await self._models.stored_steps(self._proposal, self._episode)
        await front.open(socket)
        answering = asyncio.create_task(self._answer_all(front))
        try:
            yield
        finally:
            self._ended = True
            await front.close_box()
            # a call in flight is settled, even if this is cancelled meanwhile
            await asyncio.wait({answering})
            answering.result()
            if isinstance(self.fault, ProviderFault):
                raise self.fault

    async def _answer_all(self, front: Front) -> None:
        """Answer one request after another until the box is closed."""
        try:
            while (question := await front.question()) is not None:
                number, asked = question
                await front.answer(number, *await self._respond(asked))
        except ProviderFault as fault:
            self._break(fault)
        finally:
            self.broken.set()

    async def _respond(self, asked: Asked) -> tuple[int, bytes]:
        try:
            return 200, _answer(await self._exchange(asked))
        except Refusal as why:
            return why.status, why.body
        except (OutOfBudget, EvolveError, ArchiveError) as fault:
            self._break(fault)
        return _RUN_ENDED.status, _RUN_ENDED.body

    def _break(self, fault: Fault) -> None:
        self.fault = fault
        self.broken.set()

    async def _exchange(self, asked: Asked) -> Call:
        messages = [{"role": role, "content": text} for role, text in asked.messages]
        self._check()
        number = self.used.steps + 1
        call = self._stored.get(number)
        if call is None or not asked_the_same(call, messages):
            tokens = self._room(messages, asked.reply_tokens)
            call = await self._ask(number, messages, tokens, asked.temperature)
        await self._count(call)
        return call

    async def _ask(
        self, number: int, messages: Messages, tokens: int, temperature: float | None
    ) -> Call:
        """Ask a model. Only here the clock is paused: steps are limited."""
        try:
            with self._clock.stopped():
                return await self._models.step(
                    self._proposal, self._episode, number, messages, tokens, temperature
                )
        except ModelError as error:
            if error.fault is not ModelFault.PROMPT:
                raise
            await self._count(None)
            raise Refusal(400, "context_length_exceeded", error.message) from None

    def _room(self, messages: Messages, wanted: int | None) -> int:
        """Return the limit of the reply; raise `Refusal` if one might be exceeded."""
        limits, used = self._limits, self.used
        most = min(wanted or self._reply_tokens, self._reply_tokens)
        prompt, _ = self._models.step_bound(self._proposal, messages, 0)
        tokens = min(most, limits.tokens - used.tokens - prompt)
        if tokens < min(SHORTEST_REPLY, most):
            raise Refusal(
                429,
                "tokens_exhausted",
                f"{used.tokens} of {limits.tokens} tokens are used "
                "up, and this call might pass the limit",
            )
        _, usd = self._models.step_bound(self._proposal, messages, tokens)
        if used.usd + usd > limits.usd:
            raise Refusal(
                402,
                "dollars_exhausted",
                f"${used.usd:.4f} of ${limits.usd:g} are used up, "
                "and this call might pass the limit",
            )
        return tokens

    async def _count(self, call: Call | None) -> None:
        """Count a step and its usage."""
        used, reply = self.used, (call.reply if call else None) or ""
        for flag in await flags_aside(flags_of_reply, reply, size=len(reply)):
            self.signs.setdefault(flag.kind, flag.words)
        tokens = call.prompt_tokens + call.completion_tokens if call else 0
        usd = call.cost_usd if call else 0.0
        self.used = EpisodeUsage(used.steps + 1, used.tokens + tokens, used.usd + usd)

    def _check(self) -> None:
        """Raise `Refusal` if the episode has ended, or no step is left."""
        if self.fault is not None or self._ended:
            raise _RUN_ENDED
        if self.used.steps >= self._limits.steps:
            raise Refusal(
                429,
                "steps_exhausted",
                f"all {self._limits.steps} model calls are used up",
            )


def _answer(call: Call) -> bytes:
    return json.dumps(
        {
            "id": f"call-{call.id}",
            "object": "chat.completion",
            "created": 0,
            "model": "proxy",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": call.finish_reason or "stop",
                    "message": {"role": "assistant", "content": call.reply or ""},
                }
            ],
            "usage": {
                "prompt_tokens": call.prompt_tokens,
                "completion_tokens": call.completion_tokens,
                "total_tokens": call.prompt_tokens + call.completion_tokens,
            },
        }
    ).encode()
