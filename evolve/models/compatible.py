"""Servers that speak OpenAI's protocol, self-hosted or not, over plain HTTP."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from evolve.models.answers import is_stream, provider_error, read_events
from evolve.models.endpoints import Endpoint, start_of
from evolve.models.errors import (
    CONTEXT_WORDS,
    MODERATION_WORDS,
    POLICY_WORDS,
    ModelError,
    ModelFault,
    Refusal,
    endpoint_down,
    final_fault,
    malformed,
    plain_text,
    retry_after_s,
    said_by,
    shortened,
    turned_away,
)
from evolve.models.names import ModelName
from evolve.models.proxies import Proxy, is_nearby, on_this_machine, proxy_for
from evolve.text import Data

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

MAX_ANSWER_BYTES = 8 << 20
MAX_STREAM_BYTES = 64 << 20  # each token has an event of its own
# Such servers close an idle connection after 5 s; a request sent just then is lost.
KEPT_S = 2.0
SHOWN_CHARS = 200  # of a page that is not an answer
Shape = Callable[[Mapping[str, Any]], Data]


class _Received(NamedTuple):
    """A response, read to its end."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Its content type, in lower case."""
        return self.headers.get("content-type", "").lower()


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
        )
        self._proxy: Proxy | None = None
        self._looked_for_proxy = False

    async def post(
        self,
        path: str,
        name: ModelName,
        request: Mapping[str, Any],
        shape: Shape = dict,
        headers: Mapping[str, str] | None = None,
    ) -> Data:
        """Send a request, without retries.

        Args:
            path: such as "chat/completions"
            name: the model
            request: the body, without the model's name
            shape: gives the body the form that the model accepts
            headers: further headers

        Returns:
            The answer as JSON data.

        Raises:
            ModelError: no answer
        """
        body = shape(self._endpoint.body(name.model.partition("/")[2], request))
        received = await self._send("POST", path, name, body, headers)
        if received.status >= 400:
            raise self._refused(name, received, body)
        answer = self._parsed(name, received)
        failed = provider_error(answer)
        if failed is not None:
            status, text = failed
            raise self._refused(name, received._replace(status=status, text=text), body)
        return answer

    @property
    def is_nearby(self) -> bool:
        """Whether it is on this machine or in a private network."""
        return is_nearby(self._base)

    async def models(self, name: ModelName) -> list[Data]:
        """Return the server's list of models.

        Args:
            name: the model that is asked about

        Returns:
            Entries with an `id`; empty if the server has no such list.

        Raises:
            ModelError: no server listens at an address of this machine
        """
        try:
            received = await self._send("GET", "models", name, None, None)
            found = json.loads(received.text) if received.status == 200 else {}
        except ModelError as error:
            if error.start:
                raise
            return []
        except (ValueError, RecursionError):
            return []
        rows = found.get("data") if isinstance(found, dict) else None
        return [
            row
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict) and "id" in row
        ]

    async def _send(
        self,
        method: str,
        path: str,
        name: ModelName,
        body: Data | None,
        headers: Mapping[str, str] | None,
    ) -> _Received:
        """Return the whole response; raise `ModelError` if there is none."""
        import aiohttp

        if not self._looked_for_proxy:
            self._proxy = await proxy_for(self._base)
            self._looked_for_proxy = True
        try:
            async with self._session.request(
                method,
                f"{self._base}/{path}",
                json=body,
                headers=dict(headers or {}),
                proxy=None if self._proxy is None else self._proxy.url,
            ) as response:
                text = await _text_of(name, response)
                return _Received(response.status, text, response.headers)
        except (aiohttp.ClientError, ValueError) as error:
            raise self._unreachable(name, error) from None

    def _parsed(self, name: ModelName, received: _Received) -> Data:
        """Return the answer; raise `ModelError` if it is not one of a model."""
        text = received.text.lstrip("\ufeff")
        try:
            if is_stream(text, received.kind):
                return read_events(text)
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            if text.lstrip()[:1] in (
                "{",
                "[",
                "",
            ):  # it was cut off, and may be charged
                raise malformed(name, f"its answer is not JSON: {error}") from None
            raise self._no_model(name, text) from None
        if isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]
        if not isinstance(answer, dict):
            raise self._no_model(name, text)
        return answer

    def _no_model(self, name: ModelName, text: str) -> ModelError:
        """Return the error for a page that no model has written; it costs nothing."""
        start = shortened(text[:SHOWN_CHARS])
        return final_fault(
            name,
            f"{name}: {self._base} does not answer as a model: its answer is not JSON but "
            f"{start!r}{self._by_way_of()}",
            "is this the address of the model's server, with /v1 at its end?",
        )

    def _refused(
        self, name: ModelName, received: _Received, body: Mapping[str, Any]
    ) -> ModelError:
        error = explain(name, received.status, received.text, received.headers)
        if received.status in (400, 413, 422, 500, 501):
            error.refusal = Refusal(received.text, body)
        error.message += self._by_way_of()
        error.args = (error.message,)
        return error

    def _unreachable(self, name: ModelName, error: Exception) -> ModelError:
        fault = ModelFault.TRY_AGAIN if turned_away(error) else ModelFault.UNKNOWN
        short = self._nobody(error)
        text = plain_text(name, short or error) + self._by_way_of()
        found = endpoint_down(fault, text)
        cause = getattr(error, "os_error", None)
        refused = getattr(cause, "errno", None) == errno.ECONNREFUSED
        if refused and self._proxy is None and on_this_machine(self._base):
            found.start = start_of(name.model, self._base)
            found.hint = f"{found.start}; {found.hint}"
        return found

    def _by_way_of(self) -> str:
        """Return words that name the proxy; empty if none was asked."""
        return "" if self._proxy is None else f"; asked through {self._proxy}"

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
        place = self._base if self._proxy is None else str(self._proxy)
        return ConnectionError(f"no server answers at {place} ({why})")

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _text_of(name: ModelName, response: ClientResponse) -> str:
    data = bytearray()
    streams = response.content_type == "text/event-stream"
    most = MAX_STREAM_BYTES if streams else MAX_ANSWER_BYTES
    async for piece in response.content.iter_chunked(1 << 16):
        data += piece
        if len(data) > most:
            raise malformed(name, f"its answer has more than {most:,} bytes")
    try:
        return data.decode(response.charset or "utf-8", errors="replace")
    except LookupError:  # a charset that does not exist
        return data.decode(errors="replace")


_OTHER_PARAMETERS = (
    "the server refuses the request; parameters can be set or left out: --model 'NAME "
    "temperature=none max_tokens=N'"
)
_ADVICE = {
    402: "add credit to your account there",
    405: "is the address that of chat completions, with /v1 at its end?",
}


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
    shown = said_by(body)
    text, said = plain_text(name, Exception(f"HTTP {status}: {shown}")), body.lower()
    if status == 403 and any(word in said for word in MODERATION_WORDS):
        return ModelError(ModelFault.PROMPT, text)
    if status in (401, 403):
        return final_fault(name, text, "check the key, in the environment or in .env")
    words = (*CONTEXT_WORDS, *POLICY_WORDS)
    if status in (400, 413, 422, 500) and any(word in said for word in words):
        return ModelError(ModelFault.PROMPT, text)
    if status in (402, 405, 410, 501) or "insufficient_quota" in said:
        return final_fault(name, text, _ADVICE.get(status, "see your account there"))
    if status == 404 and not any(word in said for word in ("model", "endpoints found")):
        return final_fault(
            name, text, "does the address end in /v1, and is it the model's server?"
        )
    if status == 407:
        return final_fault(
            name, text, "give the proxy's login: http://USER:PASSWORD@HOST"
        )
    if status in (400, 404, 422):
        advice = "check the model's name" if "model" in said else _OTHER_PARAMETERS
        return final_fault(name, text, advice)
    return endpoint_down(ModelFault.TRY_AGAIN, text, retry_after_s(headers))
