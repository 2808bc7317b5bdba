"""One request to a model: straight to a server that speaks OpenAI's protocol, or through litellm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from evolve.errors import ConfigError
from evolve.models import litellm_client
from evolve.models.compatible import CompatibleServer
from evolve.models.endpoints import endpoint_of, provider_of
from evolve.models.errors import ModelError, ModelFault, plain_text
from evolve.models.names import ModelName

GRACE_S = 0.5
Messages = list[dict[str, str]]
Answer = dict[str, Any]
_T = TypeVar("_T")


class Sample(NamedTuple):
    """One answer of those that a request asked for."""

    text: str
    finish_reason: str | None


@dataclass(frozen=True)
class Completion:
    """Replies to one request and their usage together, as the server reports it."""

    samples: tuple[Sample, ...]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0  # of the prompt's

    @property
    def believable(self) -> bool:
        """False when the server reports no tokens for a text that has some, or fewer than none."""
        silent = not any(sample.text for sample in self.samples)
        return (
            self.prompt_tokens > 0
            and 0 <= self.cached_tokens <= self.prompt_tokens
            and (self.completion_tokens > 0 or silent)
            and self.completion_tokens >= 0
        )


class Embedded(NamedTuple):
    """A vector for each text, as long as the model makes them."""

    vectors: list[list[float]]
    tokens: int


@dataclass(frozen=True)
class SamplingParams:
    """What is asked of a model, apart from the messages."""

    max_tokens: int
    seed: int
    temperature: float
    samples: int = 1

    def request(self, messages: Messages) -> dict[str, Any]:
        """The body of the request, without the model's name."""
        several = {"n": self.samples} if self.samples > 1 else {}
        return {
            "messages": messages,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "temperature": self.temperature,
        } | several


@dataclass(frozen=True)
class Client:
    """Asks any model: directly where its server speaks OpenAI's protocol, else through litellm."""

    timeout_s: float
    # of models that we serve ourselves
    addresses: Mapping[str, str] = field(default_factory=dict)
    _servers: dict[tuple[str, str], CompatibleServer] = field(default_factory=dict)

    async def complete(
        self, name: ModelName, messages: Messages, ask: SamplingParams
    ) -> Completion:
        """One request, no retries. Raises `ModelError`."""
        request, server = ask.request(messages), self._server(name)
        answer = await self._in_time(
            name,
            litellm_client.ask(name, request, self.timeout_s)
            if server is None
            else server.ask(name, request),
        )
        return _in_form(name, lambda: _read(name, answer))

    async def embed(self, name: ModelName, texts: list[str]) -> Embedded:
        """Vectors of texts, one request, no retries. Raises `ModelError`."""
        server = self._server(name)
        answer = await self._in_time(
            name,
            litellm_client.embed(name, texts, self.timeout_s)
            if server is None
            else server.embed(name, texts),
        )
        return _in_form(name, lambda: _read_vectors(name, answer, len(texts)))

    def _server(self, name: ModelName) -> CompatibleServer | None:
        """The server that has the model; None where it is asked through litellm."""
        endpoint = endpoint_of(name.model)
        if endpoint is None:
            return None
        base = endpoint.base(name.api_base or self.addresses.get(str(name)))
        if base is None:
            raise ModelError(
                ModelFault.FINAL, f"{name}: its server's address is not known"
            )
        key = (base, provider_of(name.model))
        if key not in self._servers:
            self._servers[key] = CompatibleServer(base, endpoint)
        return self._servers[key]

    async def _in_time(self, name: ModelName, work: Awaitable[Answer]) -> Answer:
        """A library's own time-out is for one read; a server that trickles never reaches it."""
        try:
            async with asyncio.timeout(self.timeout_s + GRACE_S):
                return await work
        except TimeoutError:
            raise ModelError(
                ModelFault.UNKNOWN,
                f"{name}: no whole answer in {self.timeout_s:g} s",
                "call_timeout_s may be too short",
            ) from None

    async def aclose(self) -> None:
        """End the connections, those that litellm keeps for later requests included."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        await litellm_client.close()


def check_key(name: ModelName) -> None:
    """Raises `ConfigError` when the provider's key, its server's address or its client is nowhere."""
    endpoint = endpoint_of(name.model)
    if endpoint is None:
        litellm_client.check_key(name)
        return
    if name.local is None and endpoint.base(name.api_base) is None:
        raise ConfigError(
            f"where is the server of {name}?",
            f"write {name}@http://HOST:PORT/v1, or set {endpoint.address_variables[0]}",
        )
    if not endpoint.own and endpoint.key is None:
        raise ConfigError(
            f"{name.model} needs a key: {' or '.join(endpoint.key_variables)} is not set",
            "set it in the environment or in .env, never in task.toml",
        )


def _in_form(name: ModelName, read: Callable[[], _T]) -> _T:
    """What a server says may have any form; one that can't be read may still have been charged."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            ModelFault.UNKNOWN, f"{name}: its answer can't be read: {error}"
        ) from None


def _read(name: ModelName, answer: Answer) -> Completion:
    choices, usage = answer.get("choices"), answer.get("usage")
    if not choices or not usage or any(not choice.get("message") for choice in choices):
        said = f": {answer['error']}" if answer.get("error") else ""
        raise ModelError(
            ModelFault.UNKNOWN,
            plain_text(name, ValueError(f"it answered without choices or usage{said}")),
        )
    samples = tuple(
        Sample(_text(choice["message"].get("content")), choice.get("finish_reason"))
        for choice in choices
    )
    details = usage.get("prompt_tokens_details") or {}
    return Completion(
        samples,
        int(usage.get("prompt_tokens") or 0),
        int(usage.get("completion_tokens") or 0),
        int(details.get("cached_tokens") or 0),
    )


def _text(content: str | list[dict[str, Any]] | None) -> str:
    """The text of a message; of one in parts, as some thinking models send it, without the thoughts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _read_vectors(name: ModelName, answer: Answer, count: int) -> Embedded:
    rows, usage = answer.get("data") or [], answer.get("usage") or {}
    if len(rows) != count or any(not row.get("embedding") for row in rows):
        raise ModelError(
            ModelFault.UNKNOWN, f"{name.model} gave no embedding of each text"
        )
    return Embedded(
        [row["embedding"] for row in rows], int(usage.get("prompt_tokens") or 0)
    )
