"""The agent's only access to a model: a Unix socket with the limits of its case.

It serves OpenAI-compatible chat completions, without streaming and server-side tools.
Keys and the choice of the model stay outside the sandbox. A step that was answered
before a restart is answered from the archive, as long as the agent sends the same
request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve.agents.flags import flags_in_reply
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
from evolve.sandbox.time_limit import TimeLimit
from evolve.tasks import AgentSpec, EpisodeUsage

if TYPE_CHECKING:
    from aiohttp import web

SHORTEST_REPLY = 16  # tokens; with less left, no model is asked
MAX_BODY, MAX_MESSAGES = 4 << 20, 2000
DELAY_S, LONGEST_DELAY_S = 0.01, 1.0  # added to the delay by each refusal; limit
_ROLES = ("system", "user", "assistant")
Messages = list[dict[str, str]]


class Refusal(Exception):
    """An error that an agent gets instead of an answer.

    Args:
        status: HTTP status
        code: machine-readable cause
        message: for the agent
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Asked:
    """A valid request of an agent.

    Attributes:
        messages: the chat
        reply_tokens: limit of the reply
        temperature: None for the run's schedule
    """

    messages: Messages
    reply_tokens: int
    temperature: float | None


class Proxy:
    """Server for one episode.

    `fault` is an exception that must end the run or interrupt it; it is not the agent's
    fault.

    Args:
        asker: answers requests within the budget
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
        self._one_at_a_time = asyncio.Lock()
        self._under_way: set[asyncio.Task[web.Response]] = set()
        self.used, self._refusals = EpisodeUsage(), 0
        # kind -> words, flags in the model's instructions to the agent
        self.signs: dict[str, str] = {}
        self.fault: OutOfBudget | EvolveError | ArchiveError | None = None
        self.broken = asyncio.Event()  # set with the fault

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[None]:
        """Listen on a socket; calls in flight are settled before the context ends.

        Args:
            socket: path of the Unix socket

        Yields:
            While the server runs.
        """
        from aiohttp import web

        self._stored = await self._models.stored_steps(self._proposal, self._episode)
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", _models)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=0.1
        )
        await runner.setup()
        try:
            await _started(web.UnixSite(runner, str(socket)))
            # the candidate is another user; no other process can find the socket
            socket.chmod(0o666)
            yield
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way)
            await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.Response:
        """Answer in a separate task: the call is settled even if the agent hangs up."""
        body = await request.read()
        task = asyncio.create_task(self._respond(body))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _respond(self, body: bytes) -> web.Response:
        try:
            async with self._one_at_a_time:
                return _answer(await self._exchange(self._read(body)))
        except Refusal as why:
            refusal = why
        except (OutOfBudget, EvolveError, ArchiveError) as fault:
            self.fault = fault
            self.broken.set()
            refusal = Refusal(503, "run_ended", "the run has ended")
        self._refusals += 1  # repeated requests are answered with growing delay
        await asyncio.sleep(min(LONGEST_DELAY_S, self._refusals * DELAY_S))
        return _refused(refusal)

    async def _exchange(self, asked: Asked) -> Call:
        number = self.used.steps + 1
        call = self._stored.get(number)
        if call is None or not asked_the_same(call, asked.messages):
            call = await self._ask(number, asked, self._room(asked))
        self._count(call)
        return call

    async def _ask(self, number: int, asked: Asked, tokens: int) -> Call:
        """Ask a model. Only here the clock is paused: steps are limited."""
        try:
            with self._clock.stopped():
                return await self._models.step(
                    self._proposal,
                    self._episode,
                    number,
                    asked.messages,
                    tokens,
                    asked.temperature,
                )
        except ModelError as error:
            if error.fault is not ModelFault.PROMPT:
                raise
            self._count(None)
            raise Refusal(400, "context_length_exceeded", error.message) from None

    def _room(self, asked: Asked) -> int:
        """Return the limit of the reply; raise `Refusal` if one might be exceeded."""
        limits, used = self._limits, self.used
        prompt, _ = self._models.step_bound(self._proposal, asked.messages, 0)
        tokens = min(asked.reply_tokens, limits.tokens - used.tokens - prompt)
        if tokens < min(SHORTEST_REPLY, asked.reply_tokens):
            raise Refusal(
                429,
                "tokens_exhausted",
                f"{used.tokens} of {limits.tokens} tokens are used "
                "up, and this call might pass the limit",
            )
        _, usd = self._models.step_bound(self._proposal, asked.messages, tokens)
        if used.usd + usd > limits.usd:
            raise Refusal(
                402,
                "dollars_exhausted",
                f"${used.usd:.4f} of ${limits.usd:g} are used up, "
                "and this call might pass the limit",
            )
        return tokens

    def _count(self, call: Call | None) -> None:
        """Count a step and its usage."""
        used = self.used
        for trip in flags_in_reply((call.reply if call else None) or ""):
            self.signs.setdefault(trip.kind, trip.words)
        tokens = call.prompt_tokens + call.completion_tokens if call else 0
        usd = call.cost_usd if call else 0.0
        self.used = EpisodeUsage(used.steps + 1, used.tokens + tokens, used.usd + usd)

    def _read(self, body: bytes) -> Asked:
        """Return a valid request; raise `Refusal` otherwise, or without steps left."""
        if self.fault is not None:
            raise Refusal(503, "run_ended", "the run has ended")
        if self.used.steps >= self._limits.steps:
            raise Refusal(
                429,
                "steps_exhausted",
                f"all {self._limits.steps} model calls are used up",
            )
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            raise Refusal(400, "invalid_request", "the body is not JSON") from None
        if not isinstance(asked, dict):
            raise Refusal(400, "invalid_request", "the body is not a JSON object")
        for key in ("stream", "tools", "functions"):
            if asked.get(key):
                raise Refusal(
                    400, "unsupported", f"{key} is not offered here: ask for plain text"
                )
        wanted = asked.get("max_tokens")
        reply = wanted if type(wanted) is int and wanted > 0 else self._reply_tokens
        return Asked(
            _messages(asked.get("messages")),
            min(reply, self._reply_tokens),
            _temperature(asked.get("temperature")),
        )


async def _started(site: web.UnixSite) -> None:
    """Start the server completely: a cancelled start would leave its socket open."""
    starting = asyncio.create_task(site.start())
    try:
        await asyncio.shield(starting)
    finally:
        await starting


def _temperature(given: Any) -> float | None:
    """Return a valid temperature; None for the run's schedule."""
    plain = isinstance(given, (int, float)) and not isinstance(given, bool)
    return float(given) if plain and 0 <= given <= 2 else None


def _messages(given: Any) -> Messages:
    """Return plain chat messages; raise `Refusal` for others."""
    if not isinstance(given, list) or not 0 < len(given) <= MAX_MESSAGES:
        raise Refusal(
            400, "invalid_request", f"messages must be a list of 1 to {MAX_MESSAGES}"
        )
    found = []
    for message in given:
        if (
            not isinstance(message, dict)
            or message.get("role") not in _ROLES
            or (not isinstance(message.get("content"), str))
        ):
            raise Refusal(
                400,
                "invalid_request",
                f"a message needs a role of {', '.join(_ROLES)} and a text as content",
            )
        content = message["content"].encode(errors="replace").decode()
        found.append({"role": message["role"], "content": content})
    return found


def _answer(call: Call) -> web.Response:
    from aiohttp import web

    return web.json_response(
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
    )


def _refused(why: Refusal) -> web.Response:
    from aiohttp import web

    return web.json_response(
        {"error": {"message": why.message, "type": why.code, "code": why.code}},
        status=why.status,
    )


async def _models(request: web.Request) -> web.Response:
    from aiohttp import web

    return web.json_response(
        {"object": "list", "data": [{"id": "proxy", "object": "model"}]}
    )
