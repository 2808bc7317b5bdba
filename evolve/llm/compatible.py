"""OpenAI-compatible servers of one's own, asked over plain HTTP.

It does a tenth of what litellm does for each call, which counts when the server is beside us and
answers at once. Everything with a bill goes through litellm.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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
    from aiohttp import ClientSession

PROVIDER = "hosted_vllm/"
SERVER_KEY = "HOSTED_VLLM_API_KEY"


class CompatibleServer:
    """One server. Connections are kept between calls."""

    def __init__(self, base: str) -> None:
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        key = os.environ.get(SERVER_KEY) or "none"
        self._base = base.rstrip("/")
        self._session: ClientSession = ClientSession(
            connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None),  # the caller's holds
            headers={"Authorization": f"Bearer {key}"}, trust_env=True)

    async def ask(self, name: ModelName, request: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer to a chat completion. Raises `ModelError`."""
        return await self._post("chat/completions", name, request)

    async def embed(self, name: ModelName, texts: list[str]) -> dict[str, Any]:
        """The server's answer to a request for embeddings. Raises `ModelError`."""
        return await self._post("embeddings", name, {"input": texts})

    async def _post(self, path: str, name: ModelName, request: Mapping[str, Any]) -> dict[str, Any]:
        import aiohttp

        body = {"model": name.model.removeprefix(PROVIDER), **request}
        try:
            async with self._session.post(f"{self._base}/{path}", json=body) as response:
                text = await response.text()
        except aiohttp.ClientError as error:
            fault = ModelFault.TRY_AGAIN if turned_away(error) else ModelFault.UNKNOWN
            raise endpoint_down(fault, plain_text(name, error)) from None
        if response.status >= 400:
            raise explain(name, response.status, text, response.headers)
        return _read(name, text)

    async def close(self) -> None:
        """End its connections."""
        await self._session.close()


def _read(name: ModelName, text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(ModelFault.UNKNOWN, f"{name}: its answer is no JSON: {error}") from None
    if not isinstance(answer, dict):
        raise ModelError(ModelFault.UNKNOWN, f"{name}: its answer is no JSON object: {text[:100]!r}")
    return answer


def explain(name: ModelName, status: int, body: str, headers: Mapping[str, str]) -> ModelError:
    """What a status other than success means: the server has refused, so nothing is charged."""
    text = plain_text(name, Exception(f"HTTP {status}: {body}"))
    if status in (401, 403):
        return final_fault(name, text, "check the key, in the environment or in .env")
    if status in (400, 413) and any(word in body.lower() for word in CONTEXT_WORDS):
        return ModelError(ModelFault.PROMPT, text)
    if status in (400, 404, 422):
        return final_fault(name, text, "check the model's name")
    return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(headers))


def serves(name: ModelName) -> bool:
    """Whether a model is on such a server."""
    return name.model.startswith(PROVIDER)
