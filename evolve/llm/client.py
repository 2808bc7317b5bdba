"""One request to a model: through litellm, or straight to an OpenAI-compatible server of one's own.

litellm takes seconds to import, so it is imported when the first model is called.
"""

from __future__ import annotations

import asyncio
import functools
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evolve.errors import ConfigError
from evolve.llm.compatible import SERVER_KEY, CompatibleServer, serves
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


@dataclass(frozen=True)
class Completion:
    """A reply and its usage, as the server reports it."""

    text: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0  # of the prompt's

    @property
    def believable(self) -> bool:
        """False when the server reports no tokens for a text that has some, or fewer than none."""
        return (self.prompt_tokens > 0 and 0 <= self.cached_tokens <= self.prompt_tokens
                and (self.completion_tokens > 0 or not self.text) and self.completion_tokens >= 0)


@dataclass(frozen=True)
class Client:
    """Asks any model that litellm knows."""

    timeout_s: float
    temperature: float
    addresses: Mapping[str, str] = field(default_factory=dict)  # of models that we serve ourselves
    _servers: dict[str, CompatibleServer] = field(default_factory=dict)

    async def complete(self, name: ModelName, messages: list[dict[str, str]], max_tokens: int,
                       seed: int) -> Completion:
        """One request, no retries. Raises `ModelError`."""
        request = {"messages": messages, "max_tokens": max_tokens, "seed": seed,
                   "temperature": self.temperature}
        base = name.api_base or self.addresses.get(str(name))
        try:
            # A library's own time-out is for one read; a server that trickles never reaches it.
            async with asyncio.timeout(self.timeout_s + GRACE_S):
                if base is not None and serves(name):
                    response = await self._server(base).ask(name, request)
                else:
                    response = await self._litellm(name, base, request)
        except TimeoutError:
            raise ModelError(ModelFault.UNKNOWN, f"{name}: no whole answer in {self.timeout_s:g} s",
                             "call_timeout_s may be too short") from None
        return _read(name, response)

    def _server(self, base: str) -> CompatibleServer:
        if base not in self._servers:
            self._servers[base] = CompatibleServer(base, self.timeout_s)
        return self._servers[base]

    async def _litellm(self, name: ModelName, base: str | None, request: dict[str, Any]) -> Any:
        litellm = load_litellm()
        import openai

        key = {"api_key": "none"} if name.self_hosted and not os.environ.get(SERVER_KEY) else {}
        try:
            return await litellm.acompletion(
                model=name.model, api_base=base, timeout=self.timeout_s, num_retries=0, max_retries=0,
                drop_params=True, **key, **request)
        except openai.OpenAIError as error:  # the base of all of litellm's own
            raise _explain(litellm, name, error) from None

    async def aclose(self) -> None:
        """End the connections to one's own servers."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()


@functools.cache
def load_litellm() -> Any:
    """Import litellm without its network look-ups and its chatter."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    warnings.filterwarnings("ignore", category=UserWarning, module="pydantic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.disable_hf_tokenizer_download = True  # counting tokens must not need a network
    return litellm


def check_key(name: ModelName) -> None:
    """Raises `ConfigError` when the provider's key is nowhere in the environment."""
    if name.self_hosted:
        return
    found = load_litellm().validate_environment(name.model)
    wanted = [key for key in found["missing_keys"] if key.endswith("_KEY")]
    if wanted and not found["keys_in_environment"]:
        raise ConfigError(f"{name.model} needs a key: {' or '.join(wanted)} is not set",
                          "set it in the environment or in .env, never in task.toml")


def _read(name: ModelName, response: Any) -> Completion:
    usage, choices = getattr(response, "usage", None), getattr(response, "choices", None)
    if not choices or usage is None or choices[0].message is None:
        raise ModelError(ModelFault.UNKNOWN, f"{name.model} answered without choices or usage")
    choice = choices[0]
    return Completion(choice.message.content or "", choice.finish_reason,
                      int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0),
                      int(getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", 0)
                          or 0))


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
