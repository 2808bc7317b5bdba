"""One request to a model through litellm, and what its errors mean.

litellm takes seconds to import, so it is imported when the first model is called.
"""

from __future__ import annotations

import asyncio
import functools
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from evolve.errors import ConfigError, RunError
from evolve.llm.names import ModelName

_NO_CONNECTION = ("ConnectError", "ClientConnectorError", "ConnectionRefusedError", "gaierror")
GRACE_S = 0.5
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


class ModelFault(StrEnum):
    """What an error means for the call and for the run."""

    TRY_AGAIN = "try again"  # busy or broken for now; nothing was charged
    UNKNOWN = "unknown"  # it may have been carried out and charged
    PROMPT = "prompt"  # this prompt is too long or refused; others may pass
    FINAL = "final"  # wrong key, unknown model: no call will succeed


class ModelError(RunError):
    """A request that gave no reply."""

    def __init__(self, fault: ModelFault, message: str, hint: str = "",
                 retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.fault, self.retry_after_s = fault, retry_after_s
        self.exit_code = 2 if fault is ModelFault.FINAL else 1


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

    async def complete(self, name: ModelName, messages: list[dict[str, str]], max_tokens: int,
                       seed: int) -> Completion:
        """One request, no retries. Raises `ModelError`."""
        litellm = load_litellm()
        import openai

        key = {"api_key": "none"} if name.self_hosted and not os.environ.get(
            "HOSTED_VLLM_API_KEY") else {}
        base = name.api_base or self.addresses.get(str(name))
        try:
            # The library's own time-out is for one read; a server that trickles never reaches it.
            async with asyncio.timeout(self.timeout_s + GRACE_S):
                response = await litellm.acompletion(
                    model=name.model, api_base=base, messages=messages, seed=seed,
                    max_tokens=max_tokens, temperature=self.temperature, timeout=self.timeout_s,
                    num_retries=0, max_retries=0, drop_params=True, **key)
        except TimeoutError:
            raise ModelError(ModelFault.UNKNOWN, f"{name}: no whole answer in {self.timeout_s:g} s",
                             "call_timeout_s may be too short") from None
        except openai.OpenAIError as error:  # the base of all of litellm's own
            raise _explain(litellm, name, error) from None
        return _read(name, response)


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
    usage = getattr(response, "usage", None)
    if not response.choices or usage is None:
        raise ModelError(ModelFault.UNKNOWN, f"{name.model} answered without choices or usage")
    choice = response.choices[0]
    return Completion(choice.message.content or "", choice.finish_reason,
                      int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0),
                      int(getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", 0)
                          or 0))


def _explain(litellm: Any, name: ModelName, error: Exception) -> ModelError:
    """A message for people, with no key in it."""
    kinds = litellm.exceptions
    text = redact(str(getattr(error, "message", error)))
    text = f"{name}: {' '.join(text.split())[:500]}"
    if isinstance(error, (kinds.ContextWindowExceededError, kinds.ContentPolicyViolationError)):
        return ModelError(ModelFault.PROMPT, text)
    if isinstance(error, (kinds.AuthenticationError, kinds.PermissionDeniedError)):
        return ModelError(ModelFault.FINAL, text, "check the key, in the environment or in .env; "
                          "then: evolve doctor --model " + str(name))
    if isinstance(error, (kinds.NotFoundError, kinds.BadRequestError)):
        return ModelError(ModelFault.FINAL, text,
                          "check the model's name; then: evolve doctor --model " + str(name))
    hint = "is the endpoint up? then: evolve resume"
    if isinstance(error, kinds.RateLimitError) or _turned_away(error):
        return ModelError(ModelFault.TRY_AGAIN, text, hint, _retry_after_s(error))
    return ModelError(ModelFault.UNKNOWN, text, hint)


def _turned_away(error: BaseException | None) -> bool:
    """True when no connection was made or the server said no: nothing was carried out or charged.

    Everything else (half an answer, no answer, an answer that can't be read) may have been charged.
    """
    while error is not None:
        if type(error).__name__ in (*_NO_CONNECTION, "HTTPStatusError"):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after_s(error: Exception) -> float | None:
    """What the server's Retry-After header says, in seconds."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None  # no header, or a date: then our own back-off


def redact(text: str) -> str:
    """Cut every secret of the environment out of a text before it is shown or stored."""
    for name, value in os.environ.items():
        if len(value) >= 6 and any(word in name.upper() for word in _SECRET_WORDS):
            text = text.replace(value, "***")
    return text
