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
SERVER_KEY, SERVER_ADDRESS = "HOSTED_VLLM_API_KEY", "HOSTED_VLLM_API_BASE"
KEPT_S = 2.0  # an idle connection: such servers close it after 5 s, and what is sent then is lost


class CompatibleServer:
    """One server. Connections are kept between calls."""

    def __init__(self, base: str) -> None:
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        key = os.environ.get(SERVER_KEY) or "none"
        self._base = base.rstrip("/")
        self._session: ClientSession = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=KEPT_S),
            timeout=ClientTimeout(total=None),  # the caller's holds
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
                text = await response.text(errors="replace")
        except aiohttp.ClientError as error:
            fault = ModelFault.TRY_AGAIN if turned_away(error) else ModelFault.UNKNOWN
            raise endpoint_down(fault, plain_text(name, self._nobody(error) or error)) from None
        if response.status >= 400:
            raise explain(name, response.status, text, response.headers)
        return _read(name, text)

    def _nobody(self, error: Exception) -> Exception | None:
        """The same without the layers around it, when nobody listens there."""
        cause = getattr(error, "os_error", None)
        if not isinstance(cause, OSError):
            return None
        why = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror
        return ConnectionError(f"nobody answers at {self._base} ({why})")

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
    if status == 404 and "model" not in body.lower():
        return final_fault(name, text, "does the address end in /v1, and is it the model's server?")
    if status in (400, 404, 422):
        return final_fault(name, text, "check the model's name")
    return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(headers))


def serves(name: ModelName) -> bool:
    """Whether a model is on such a server."""
    return name.model.startswith(PROVIDER)
