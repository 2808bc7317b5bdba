"""One request to a model: directly by OpenAI's protocol, or through litellm."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from evolve.archive import Reply
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


@dataclass(frozen=True)
class Completion:
    """Replies to one request, with their total usage as the server reports it.

    Attributes:
        samples: at least one reply
        prompt_tokens: tokens of the prompt
        completion_tokens: tokens of all replies together
        cached_tokens: tokens of the prompt that the server had cached
    """

    samples: tuple[Reply, ...]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0

    @property
    def believable(self) -> bool:
        """False if a count is negative, or zero although there is text."""
        silent = not any(sample.text for sample in self.samples)
        return (
            self.prompt_tokens > 0
            and 0 <= self.cached_tokens <= self.prompt_tokens
            and (self.completion_tokens > 0 or silent)
            and self.completion_tokens >= 0
        )


class Embedded(NamedTuple):
    """Vectors of texts.

    Attributes:
        vectors: one per text; their length depends on the model
        tokens: tokens of all texts together
    """

    vectors: list[list[float]]
    tokens: int


@dataclass(frozen=True)
class SamplingParams:
    """Parameters of a request, apart from the messages.

    Attributes:
        max_tokens: limit of each reply
        seed: for sampling
        temperature: for sampling
        samples: number of replies
    """

    max_tokens: int
    seed: int
    temperature: float
    samples: int = 1

    def request(self, messages: Messages) -> dict[str, Any]:
        """Return the body of the request, without the model's name.

        Args:
            messages: the chat

        Returns:
            Keys of OpenAI's protocol; `n` only for several samples.
        """
        several = {"n": self.samples} if self.samples > 1 else {}
        return {
            "messages": messages,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "temperature": self.temperature,
        } | several


@dataclass(frozen=True)
class Client:
    """Client of any model: by OpenAI's protocol if its server speaks it, else litellm.

    Attributes:
        timeout_s: limit for one request, in seconds
        addresses: model name -> address, for models served by this run
    """

    timeout_s: float
    addresses: Mapping[str, str] = field(default_factory=dict)
    _servers: dict[tuple[str, str], CompatibleServer] = field(default_factory=dict)

    async def complete(
        self, name: ModelName, messages: Messages, ask: SamplingParams
    ) -> Completion:
        """Send one chat request, without retries.

        Args:
            name: the model
            messages: the chat
            ask: sampling parameters

        Returns:
            The replies and their usage.

        Raises:
            ModelError: no usable reply; its `fault` tells whether it may have been
                charged
            ConfigError: litellm is needed and not installed
        """
        answer = await self._post(name, "chat/completions", ask.request(messages))
        return _in_form(name, lambda: _read(name, answer))

    async def embed(self, name: ModelName, texts: list[str]) -> Embedded:
        """Request the vectors of texts, without retries.

        Args:
            name: the model
            texts: at least one

        Returns:
            One vector per text.

        Raises:
            ModelError: no usable reply; its `fault` tells whether it may have been
                charged
            ConfigError: litellm is needed and not installed
        """
        answer = await self._post(name, "embeddings", {"input": texts})
        return _in_form(name, lambda: _read_vectors(name, answer, len(texts)))

    def _server(self, name: ModelName) -> CompatibleServer | None:
        """Return the model's server; None if it is asked through litellm."""
        endpoint = endpoint_of(name.model)
        if endpoint is None:
            return None
        base = endpoint.base(name.api_base or self.addresses.get(str(name)))
        if base is None:
            raise ModelError(
                ModelFault.FINAL, f"{name}: the address of its server is not known"
            )
        key = (base, provider_of(name.model))
        if key not in self._servers:
            self._servers[key] = CompatibleServer(base, endpoint)
        return self._servers[key]

    async def _post(self, name: ModelName, path: str, request: Answer) -> Answer:
        """Return an answer within the time limit for the whole request."""
        server = self._server(name)
        try:
            async with asyncio.timeout(self.timeout_s + GRACE_S):
                if server is None:
                    return await litellm_client.ask(path, name, request, self.timeout_s)
                return await server.post(path, name, request)
        except TimeoutError:
            raise ModelError(
                ModelFault.UNKNOWN,
                f"{name}: no complete answer in {self.timeout_s:g} s",
                "call_timeout_s may be too short",
            ) from None

    async def aclose(self) -> None:
        """Close the connections, including those that litellm keeps for reuse."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        await litellm_client.close()


def check_key(name: ModelName) -> None:
    """Check that a model can be asked: its key, address and client are known.

    Args:
        name: the model

    Raises:
        ConfigError: the provider's key, the server's address or litellm is missing
    """
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
    """Call `read`; an unexpected format is an error that may have been charged."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            ModelFault.UNKNOWN, f"{name}: its answer has an unexpected format: {error}"
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
        Reply(_text(choice["message"].get("content")), choice.get("finish_reason"))
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
    """Return the text of a message.

    Some thinking models send it in parts; their thoughts are left out.
    """
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _read_vectors(name: ModelName, answer: Answer, count: int) -> Embedded:
    rows, usage = answer.get("data") or [], answer.get("usage") or {}
    if len(rows) != count or any(not row.get("embedding") for row in rows):
        raise ModelError(
            ModelFault.UNKNOWN, f"{name.model} did not return one embedding per text"
        )
    return Embedded(
        [row["embedding"] for row in rows], int(usage.get("prompt_tokens") or 0)
    )
