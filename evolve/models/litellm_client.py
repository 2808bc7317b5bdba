"""Models of providers that do not speak OpenAI's protocol, asked through litellm."""

from collections.abc import Mapping
from typing import Any

from evolve.errors import ConfigError
from evolve.models.errors import (
    ModelError,
    ModelFault,
    endpoint_down,
    final_fault,
    plain_text,
    retry_after_s,
    turned_away,
)
from evolve.models.extra import find_litellm, load_litellm
from evolve.models.names import ModelName
from evolve.text import Data

_FUNCTIONS = {"chat/completions": "acompletion", "embeddings": "aembedding"}


async def ask(
    path: str, name: ModelName, request: Mapping[str, Any], timeout_s: float
) -> Data:
    """Send a request, without retries.

    Args:
        path: "chat/completions" or "embeddings"
        name: the model
        request: the body, without the model's name
        timeout_s: limit for the whole request

    Returns:
        The answer as JSON data.

    Raises:
        ModelError: no answer
        ConfigError: litellm is not installed
    """
    litellm = load_litellm(name.model)
    import openai

    try:
        response = await getattr(litellm, _FUNCTIONS[path])(
            model=name.model,
            api_base=name.api_base,
            timeout=timeout_s,
            num_retries=0,
            max_retries=0,
            drop_params=True,
            **request,
        )
    except openai.OpenAIError as error:  # the base of all exceptions of litellm
        raise _explain(litellm, name, error) from None
    return dict(response.model_dump())


async def close() -> None:
    """Close the connections that litellm keeps for later requests, if it was used."""
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


def _explain(litellm: Any, name: ModelName, error: Exception) -> ModelError:
    """Interpret an exception of litellm."""
    kinds = litellm.exceptions
    text = plain_text(name, error)
    if isinstance(
        error, (kinds.ContextWindowExceededError, kinds.ContentPolicyViolationError)
    ):
        return ModelError(ModelFault.PROMPT, text)
    if isinstance(error, (kinds.AuthenticationError, kinds.PermissionDeniedError)):
        return final_fault(name, text, "check the key, in the environment or in .env")
    if isinstance(error, (kinds.NotFoundError, kinds.BadRequestError)):
        return final_fault(name, text, "check the model's name")
    if isinstance(error, kinds.RateLimitError) or turned_away(error):
        headers = getattr(error, "litellm_response_headers", None) or {}
        return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(headers))
    return endpoint_down(ModelFault.UNKNOWN, text)
