"""Models of providers that do not speak OpenAI's protocol, asked through litellm."""

from collections.abc import Mapping
from typing import Any

from evolve.errors import ConfigError
from evolve.models.endpoints import start_of
from evolve.models.errors import (
    CONTEXT_WORDS,
    ModelError,
    ModelFault,
    Refusal,
    endpoint_down,
    final_fault,
    plain_text,
    retry_after_s,
    said_by,
    turned_away,
)
from evolve.models.extra import find_litellm, load_litellm
from evolve.models.names import ModelName
from evolve.models.proxies import DirectAddresses, on_this_machine, proxy_for
from evolve.text import Data

_FUNCTIONS = {"chat/completions": "acompletion", "embeddings": "aembedding"}


# parameters of litellm's functions; all others are part of the body
_KNOWN = (
    "messages",
    "input",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "temperature",
    "top_p",
    "n",
    "stop",
    "reasoning_effort",
    "stream",
    "stream_options",
)
# words about an answer that is not one of a model
_UNREADABLE = (
    "expecting value",
    "invalid response",
    "validation error",
    "unterminated",
)
# words about a provider's error inside an answer with status 200
_PROVIDER_FAILED = ("'type': 'api_error'", "'type': 'overloaded_error'")
_TRACEBACK = "Traceback (most recent call last)"
_DIRECT = DirectAddresses()


async def ask(
    path: str,
    name: ModelName,
    request: Mapping[str, Any],
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> Data:
    """Send a request, without retries.

    Args:
        path: "chat/completions" or "embeddings"
        name: the model
        request: the body, without the model's name
        timeout_s: limit for the whole request
        headers: further headers

    Returns:
        The answer as JSON data.

    Raises:
        ModelError: no answer
        ConfigError: litellm is not installed
    """
    litellm = load_litellm(name.model)
    import openai

    _DIRECT.add(name.api_base)
    known = {key: value for key, value in request.items() if key in _KNOWN}
    body = {key: value for key, value in request.items() if key not in _KNOWN}
    more = {"extra_body": body} if body else {}
    try:
        response = await getattr(litellm, _FUNCTIONS[path])(
            model=name.model,
            api_base=name.api_base,
            timeout=timeout_s,
            num_retries=0,
            max_retries=0,
            drop_params=True,
            **known,
            **more,
            **({"extra_headers": dict(headers)} if headers else {}),
        )
        if known.get("stream"):
            return await _assembled(litellm, response)
    except openai.OpenAIError as error:  # the base of all exceptions of litellm
        raise await _explain(litellm, name, error, request) from None
    return dict(response.model_dump())


async def _assembled(litellm: Any, stream: Any) -> Data:
    """Return the answer of a stream."""
    chunks = [chunk async for chunk in stream]
    return dict(litellm.stream_chunk_builder(chunks).model_dump())


def speaks_openai(provider: str) -> bool:
    """Return whether litellm knows that a provider speaks OpenAI's protocol.

    Args:
        provider: the part of a model's name before the slash

    Returns:
        False also if litellm is not installed.
    """
    litellm = find_litellm()
    return litellm is not None and (
        provider in litellm.openai_compatible_providers
        or provider in ("custom_openai", "openai_like")
    )


async def close() -> None:
    """Close the connections that litellm keeps for later requests, if it was used."""
    _DIRECT.restore()
    if find_litellm.cache_info().currsize and (litellm := find_litellm()) is not None:
        await litellm.close_litellm_async_clients()
        litellm.in_memory_llm_clients_cache.flush_cache()


def check_key(name: ModelName) -> None:
    """Check that the provider's key is set.

    Args:
        name: the model

    Raises:
        ConfigError: the key is missing, or litellm is not installed
    """
    found = load_litellm(name.model).validate_environment(name.model)
    wanted = [key for key in found["missing_keys"] if key.endswith("_KEY")]
    if wanted and not found["keys_in_environment"]:
        raise ConfigError(
            f"{name.model} needs a key: {' or '.join(wanted)} is not set",
            "set it in the environment or in .env, never in task.toml",
        )


async def _explain(
    litellm: Any, name: ModelName, error: Exception, request: Mapping[str, Any]
) -> ModelError:
    """Interpret an exception of litellm."""
    found = _meaning(litellm, name, error)
    status = getattr(error, "status_code", None)
    if status in (400, 413, 422) and found.fault is not ModelFault.TRY_AGAIN:
        found.refusal = Refusal(_body_in(str(error)), request)
    proxy = await proxy_for(name.api_base) if name.api_base else None
    if proxy is not None:
        found.message += f"; asked through {proxy}"
    if name.api_base and on_this_machine(name.api_base) and _refused(error):
        found.message = f"{name}: no server answers there (Connection refused)"
        found.start = start_of(name.model, name.api_base)
        found.hint = f"{found.start}; {found.hint}"
    return found


def _meaning(litellm: Any, name: ModelName, error: Exception) -> ModelError:
    kinds = litellm.exceptions
    text = plain_text(name, ValueError(_without_traceback(error)))
    if isinstance(
        error, (kinds.ContextWindowExceededError, kinds.ContentPolicyViolationError)
    ):
        return ModelError(ModelFault.PROMPT, text)
    if isinstance(error, (kinds.AuthenticationError, kinds.PermissionDeniedError)):
        return final_fault(name, text, "check the key, in the environment or in .env")
    said = str(error).lower()
    if any(
        word in said for word in ("<html", "<!doctype", "empty or invalid response")
    ):
        return final_fault(name, text, "is this the address of the model's server?")
    if "insufficient_quota" in said or getattr(error, "status_code", 0) == 402:
        return final_fault(name, text, "see your account there")
    if isinstance(error, (kinds.NotFoundError, kinds.BadRequestError)):
        if any(word in said for word in CONTEXT_WORDS):
            return ModelError(ModelFault.PROMPT, text)
        return final_fault(name, text, "check the model's name")
    if isinstance(error, kinds.RateLimitError) or turned_away(error):
        headers = getattr(error, "litellm_response_headers", None) or {}
        return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(headers))
    if any(word in said for word in _PROVIDER_FAILED):
        return endpoint_down(ModelFault.TRY_AGAIN, text)
    found = endpoint_down(ModelFault.UNKNOWN, text)
    found.malformed = _TRACEBACK in str(error) or any(
        word in said for word in _UNREADABLE
    )
    return found


def _without_traceback(error: Exception) -> str:
    """Return a message without the traceback that litellm writes into some."""
    text = str(getattr(error, "message", error))
    return text.partition(_TRACEBACK)[0].strip() or text


def _body_in(text: str) -> str:
    """Return the server's JSON inside a message of litellm; the message without one."""
    start, end = text.find("{"), text.rfind("}")
    inner = text[start : end + 1] if 0 <= start < end else text
    return inner if said_by(inner) != inner else text


def _refused(error: BaseException | None) -> bool:
    """Return whether no server listens, by an exception and its causes."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError) or (
            "Connection refused" in str(error)
            or "All connection attempts" in str(error)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
