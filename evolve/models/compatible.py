"""Servers that speak OpenAI's protocol, self-hosted or not, over plain HTTP."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evolve.models.endpoints import Endpoint
from evolve.models.errors import (
    CONTEXT_WORDS,
    MODERATION_WORDS,
    ModelError,
    ModelFault,
    endpoint_down,
    final_fault,
    plain_text,
    retry_after_s,
    turned_away,
)
from evolve.models.names import ModelName
from evolve.text import Data

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

MAX_ANSWER_BYTES = 8 << 20
# Such servers close an idle connection after 5 s; a request sent just then is lost.
KEPT_S = 2.0


class CompatibleServer:
    """One server, with connections that are kept between calls."""

    def __init__(self, base: str, endpoint: Endpoint) -> None:
        """Prepare requests.

        Args:
            base: address of the routes, for example http://HOST:PORT/v1
            endpoint: differences from OpenAI's protocol
        """
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        self._base, self._endpoint = base.rstrip("/"), endpoint
        self._session: ClientSession = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=KEPT_S),
            timeout=ClientTimeout(total=None),  # the caller limits the time
            headers={"Authorization": f"Bearer {endpoint.key or 'none'}"},
            trust_env=not on_this_machine(base),
        )

    async def post(
        self, path: str, name: ModelName, request: Mapping[str, Any]
    ) -> Data:
        """Send a request, without retries.

        Args:
            path: such as "chat/completions"
            name: the model
            request: the body, without the model's name

        Returns:
            The answer as JSON data.

        Raises:
            ModelError: no answer
        """
        import aiohttp

        body = self._endpoint.body(name.model.partition("/")[2], request)
        try:
            async with self._session.post(
                f"{self._base}/{path}", json=body
            ) as response:
                text = await _text_of(name, response)
        except aiohttp.ClientError as error:
            fault = ModelFault.TRY_AGAIN if turned_away(error) else ModelFault.UNKNOWN
            raise endpoint_down(
                fault, plain_text(name, self._nobody(error) or error)
            ) from None
        if response.status >= 400:
            raise explain(name, response.status, text, response.headers)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(
                ModelFault.UNKNOWN, f"{name}: its answer is not JSON: {error}"
            ) from None
        if not isinstance(answer, dict):
            raise ModelError(
                ModelFault.UNKNOWN,
                f"{name}: its answer is not a JSON object: {text[:100]!r}",
            )
        return answer

    def _nobody(self, error: Exception) -> Exception | None:
        """Return a short error if no server listens at the address, else None."""
        cause = getattr(error, "os_error", None)
        if not isinstance(cause, OSError):
            return None
        why = (
            os.strerror(cause.errno)
            if cause.errno and cause.errno > 0
            else cause.strerror
        )
        return ConnectionError(f"no server answers at {self._base} ({why})")

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _text_of(name: ModelName, response: ClientResponse) -> str:
    data = bytearray()
    async for piece in response.content.iter_chunked(1 << 16):
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            raise ModelError(
                ModelFault.UNKNOWN,
                f"{name}: its answer has more than {MAX_ANSWER_BYTES:,} bytes",
            )
    try:
        return data.decode(response.charset or "utf-8", errors="replace")
    except LookupError:  # a charset that does not exist
        return data.decode(errors="replace")


def on_this_machine(address: str) -> bool:
    """Return whether an address is on loopback, which no proxy can reach.

    Args:
        address: a URL

    Returns:
        True for loopback IP addresses and localhost.
    """
    host = address
    try:
        host = urlsplit(address).hostname or ""
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name, or an invalid address
        return host == "localhost"


def explain(
    name: ModelName, status: int, body: str, headers: Mapping[str, str]
) -> ModelError:
    """Interpret a status other than success.

    The server has refused the request, so nothing is charged.

    Args:
        name: the model
        status: HTTP status of at least 400
        body: text of the response
        headers: may hold retry-after

    Returns:
        The error, to be raised.
    """
    text, said = plain_text(name, Exception(f"HTTP {status}: {body}")), body.lower()
    if status == 403 and any(word in said for word in MODERATION_WORDS):
        return ModelError(ModelFault.PROMPT, text)
    if status in (401, 403):
        return final_fault(name, text, "check the key, in the environment or in .env")
    if status in (400, 413, 422) and any(word in said for word in CONTEXT_WORDS):
        return ModelError(ModelFault.PROMPT, text)
    if status == 404 and not any(word in said for word in ("model", "endpoints found")):
        return final_fault(
            name, text, "does the address end in /v1, and is it the model's server?"
        )
    if status in (400, 404, 422):
        return final_fault(name, text, "check the model's name")
    return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(headers))
