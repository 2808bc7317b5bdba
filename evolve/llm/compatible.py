"""OpenAI-compatible servers of one's own, asked through the openai client.

It does less for each call than litellm and is imported sooner, which counts when the server is beside
us. Everything with a bill goes through litellm.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from evolve.llm.faults import (
    CONTEXT_WORDS,
    ModelError,
    ModelFault,
    endpoint_down,
    final_fault,
    plain_text,
    retry_after_s,
    turned_away,
)
from evolve.llm.names import ModelName

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PROVIDER = "hosted_vllm/"
SERVER_KEY = "HOSTED_VLLM_API_KEY"


class CompatibleServer:
    """One server. Connections are kept between calls."""

    def __init__(self, base: str, timeout_s: float) -> None:
        from openai import AsyncOpenAI

        self._client: AsyncOpenAI = AsyncOpenAI(
            base_url=base, api_key=os.environ.get(SERVER_KEY) or "none", timeout=timeout_s,
            max_retries=0)

    async def ask(self, name: ModelName, request: dict[str, Any]) -> Any:
        """The server's answer as the openai client reads it. Raises `ModelError`."""
        import openai

        try:
            return await self._client.chat.completions.create(
                model=name.model.removeprefix(PROVIDER), **request)
        except openai.OpenAIError as error:
            raise explain(name, error) from None
        except json.JSONDecodeError as error:
            raise ModelError(ModelFault.UNKNOWN, f"{name}: its answer is no JSON: {error}") from None

    async def close(self) -> None:
        """End its connections."""
        await self._client.close()


def explain(name: ModelName, error: Exception) -> ModelError:
    """What the openai client's error means."""
    import openai

    text = plain_text(name, error)
    if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
        return final_fault(name, text, "check the key, in the environment or in .env")
    if isinstance(error, openai.BadRequestError) and any(w in text.lower() for w in CONTEXT_WORDS):
        return ModelError(ModelFault.PROMPT, text)
    if isinstance(error, (openai.NotFoundError, openai.BadRequestError,
                          openai.UnprocessableEntityError)):
        return final_fault(name, text, "check the model's name")
    if isinstance(error, openai.APIStatusError):
        return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(error.response.headers))
    return endpoint_down(ModelFault.TRY_AGAIN if turned_away(error) else ModelFault.UNKNOWN, text)


def serves(name: ModelName) -> bool:
    """Whether a model is on such a server."""
    return name.model.startswith(PROVIDER)
