"""One request to a model: through litellm, or straight to an OpenAI-compatible server of one's own.

litellm takes seconds to import, so it is imported when the first model is called.
"""

from __future__ import annotations

import asyncio
import functools
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from evolve.errors import ConfigError
from evolve.llm.compatible import SERVER_ADDRESS, SERVER_KEY, CompatibleServer, serves
from evolve.llm.faults import (
    ModelError,
    ModelFault,
    endpoint_down,
    final_fault,
    plain_text,
    retry_after_s,
    turned_away,
)
from evolve.llm.names import ModelName

GRACE_S = 0.5
_NO_LOOK_UP = "LITELLM_LOCAL_MODEL_COST_MAP"
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
        return (self.prompt_tokens > 0 and 0 <= self.cached_tokens <= self.prompt_tokens
                and (self.completion_tokens > 0 or silent) and self.completion_tokens >= 0)


class Embedded(NamedTuple):
    """A vector for each text, as long as the model makes them."""

    vectors: list[list[float]]
    tokens: int


@dataclass(frozen=True)
class Ask:
    """What is asked of a model, apart from the messages."""

    max_tokens: int
    seed: int
    temperature: float
    samples: int = 1

    def request(self, messages: Messages) -> dict[str, Any]:
        """The body of the request, without the model's name."""
        several = {"n": self.samples} if self.samples > 1 else {}
        return {"messages": messages, "max_tokens": self.max_tokens, "seed": self.seed,
                "temperature": self.temperature} | several


@dataclass(frozen=True)
class Client:
    """Asks any model that litellm knows."""

    timeout_s: float
    addresses: Mapping[str, str] = field(default_factory=dict)  # of models that we serve ourselves
    _servers: dict[str, CompatibleServer] = field(default_factory=dict)

    async def complete(self, name: ModelName, messages: Messages, ask: Ask) -> Completion:
        """One request, no retries. Raises `ModelError`."""
        request = ask.request(messages)
        base = self._base(name)
        if base is not None and serves(name):
            answer = await self._in_time(name, self._server(base).ask(name, request))
        else:
            answer = await self._in_time(name, self._litellm(name, base, request))
        return _in_form(name, lambda: _read(name, answer))

    async def embed(self, name: ModelName, texts: list[str]) -> Embedded:
        """Vectors of texts, one request, no retries. Raises `ModelError`."""
        base = self._base(name)
        if base is not None and serves(name):
            answer = await self._in_time(name, self._server(base).embed(name, texts))
        else:
            answer = await self._in_time(name, self._litellm_embed(name, base, texts))
        return _in_form(name, lambda: _read_vectors(name, answer, len(texts)))

    def _base(self, name: ModelName) -> str | None:
        return name.api_base or self.addresses.get(str(name))

    async def _in_time(self, name: ModelName, work: Awaitable[Answer]) -> Answer:
        """A library's own time-out is for one read; a server that trickles never reaches it."""
        try:
            async with asyncio.timeout(self.timeout_s + GRACE_S):
                return await work
        except TimeoutError:
            raise ModelError(ModelFault.UNKNOWN, f"{name}: no whole answer in {self.timeout_s:g} s",
                             "call_timeout_s may be too short") from None

    def _server(self, base: str) -> CompatibleServer:
        if base not in self._servers:
            self._servers[base] = CompatibleServer(base)
        return self._servers[base]

    async def _litellm(self, name: ModelName, base: str | None, request: dict[str, Any]) -> Answer:
        return await self._through_litellm("acompletion", name, base, request)

    async def _litellm_embed(self, name: ModelName, base: str | None, texts: list[str]) -> Answer:
        return await self._through_litellm("aembedding", name, base, {"input": texts})

    async def _through_litellm(self, function: str, name: ModelName, base: str | None,
                               request: dict[str, Any]) -> Answer:
        litellm = load_litellm()
        import openai

        key = {"api_key": "none"} if name.self_hosted and not os.environ.get(SERVER_KEY) else {}
        try:
            response = await getattr(litellm, function)(
                model=name.model, api_base=base, timeout=self.timeout_s, num_retries=0, max_retries=0,
                drop_params=True, **key, **request)
        except openai.OpenAIError as error:  # the base of all of litellm's own
            raise _explain(litellm, name, error) from None
        return dict(response.model_dump())

    async def aclose(self) -> None:
        """End the connections, those that litellm keeps for later requests included."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        if load_litellm.cache_info().currsize:
            litellm = load_litellm()
            await litellm.close_litellm_async_clients()
            litellm.in_memory_llm_clients_cache.flush_cache()


@functools.cache
def load_litellm() -> Any:
    """Import litellm without its network look-ups and its chatter."""
    given = os.environ.get(_NO_LOOK_UP)
    os.environ[_NO_LOOK_UP] = given or "True"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import litellm
    finally:
        if given is None:
            del os.environ[_NO_LOOK_UP]  # it is read while litellm is imported
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.disable_hf_tokenizer_download = True  # counting tokens must not need a network
    return litellm


def check_key(name: ModelName) -> None:
    """Raises `ConfigError` when the provider's key, or its server's address, is nowhere."""
    if serves(name) and not (name.api_base or name.local or os.environ.get(SERVER_ADDRESS)):
        raise ConfigError(f"where is the server of {name}?",  # litellm would ask OpenAI's instead
                          f"write {name}@http://HOST:PORT/v1, or set {SERVER_ADDRESS}")
    if name.self_hosted:
        return
    found = load_litellm().validate_environment(name.model)
    wanted = [key for key in found["missing_keys"] if key.endswith("_KEY")]
    if wanted and not found["keys_in_environment"]:
        raise ConfigError(f"{name.model} needs a key: {' or '.join(wanted)} is not set",
                          "set it in the environment or in .env, never in task.toml")


def _in_form(name: ModelName, read: Callable[[], _T]) -> _T:
    """What a server says may have any form; one that can't be read may still have been charged."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(ModelFault.UNKNOWN, f"{name}: its answer can't be read: {error}") from None


def _read(name: ModelName, answer: Answer) -> Completion:
    choices, usage = answer.get("choices"), answer.get("usage")
    if not choices or not usage or any(not choice.get("message") for choice in choices):
        raise ModelError(ModelFault.UNKNOWN, f"{name.model} answered without choices or usage")
    samples = tuple(Sample(choice["message"].get("content") or "", choice.get("finish_reason"))
                    for choice in choices)
    details = usage.get("prompt_tokens_details") or {}
    return Completion(samples, int(usage.get("prompt_tokens") or 0),
                      int(usage.get("completion_tokens") or 0), int(details.get("cached_tokens") or 0))


def _read_vectors(name: ModelName, answer: Answer, count: int) -> Embedded:
    rows, usage = answer.get("data") or [], answer.get("usage") or {}
    if len(rows) != count or any(not row.get("embedding") for row in rows):
        raise ModelError(ModelFault.UNKNOWN, f"{name.model} gave no embedding of each text")
    return Embedded([row["embedding"] for row in rows], int(usage.get("prompt_tokens") or 0))


def _explain(litellm: Any, name: ModelName, error: Exception) -> ModelError:
    """What litellm's error means."""
    kinds = litellm.exceptions
    text = plain_text(name, error)
    if isinstance(error, (kinds.ContextWindowExceededError, kinds.ContentPolicyViolationError)):
        return ModelError(ModelFault.PROMPT, text)
    if isinstance(error, (kinds.AuthenticationError, kinds.PermissionDeniedError)):
        return final_fault(name, text, "check the key, in the environment or in .env")
    if isinstance(error, (kinds.NotFoundError, kinds.BadRequestError)):
        return final_fault(name, text, "check the model's name")
    if isinstance(error, kinds.RateLimitError) or turned_away(error):
        headers = getattr(error, "litellm_response_headers", None) or {}
        return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(headers))
    return endpoint_down(ModelFault.UNKNOWN, text)
