"""The failures of model servers, each as the response that a client sees."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

TRICKLE_PAUSE_S = 0.2


@dataclass(frozen=True)
class Failure:
    """Parameters of a failure.

    Attributes:
        body: the answer without a failure
        retry_after_s: value of the Retry-After header
        hang_s: duration of a hang or trickle
    """

    body: dict[str, Any]
    retry_after_s: float
    hang_s: float


Answer = Callable[[Failure], Awaitable[Response]]


async def busy(failure: Failure) -> Response:
    """Return 429 with a Retry-After header.

    Args:
        failure: with `retry_after_s`

    Returns:
        The response.
    """
    return error(
        429, "rate_limit", "busy", {"Retry-After": f"{failure.retry_after_s:g}"}
    )


async def broken(failure: Failure) -> Response:
    """Return 500."""
    return error(500, "server_error", "broken for now")


async def hang(failure: Failure) -> Response:
    """Wait for a long time, then return the answer.

    Args:
        failure: with `hang_s`

    Returns:
        The normal response.
    """
    await asyncio.sleep(failure.hang_s)
    return JSONResponse(failure.body)


async def trickle(failure: Failure) -> Response:
    """Return the answer byte by byte: each read is quick, the whole takes `hang_s`.

    Args:
        failure: with `hang_s`

    Returns:
        A slow response.
    """

    async def slowly() -> AsyncIterator[bytes]:
        text = json.dumps(failure.body).encode()
        step = max(
            1, round(len(text) * TRICKLE_PAUSE_S / max(failure.hang_s, TRICKLE_PAUSE_S))
        )
        for start in range(0, len(text), step):
            await asyncio.sleep(TRICKLE_PAUSE_S)
            yield text[start : start + step]

    return StreamingResponse(slowly(), media_type="application/json")


async def reset(failure: Failure) -> Response:
    """Return half of the answer, then close the connection.

    Args:
        failure: with the body

    Returns:
        The incomplete response.
    """
    return _CutOff(failure.body)


async def empty(failure: Failure) -> Response:
    """Return an answer without choices.

    Args:
        failure: with the body

    Returns:
        Status 200.
    """
    return JSONResponse(failure.body | {"choices": []})


async def refusal(failure: Failure) -> Response:
    """Return the refusal of a model.

    Args:
        failure: with the body

    Returns:
        Status 200, with the finish reason "content_filter".
    """
    message = {
        "role": "assistant",
        "content": None,
        "refusal": "I can't help with that.",
    }
    choice = {"index": 0, "finish_reason": "content_filter", "message": message}
    return JSONResponse(failure.body | {"choices": [choice]})


async def garbage(failure: Failure) -> Response:
    """Return 200 with a body that can't be parsed as JSON.

    Args:
        failure: with the body

    Returns:
        The response.
    """
    return Response(
        json.dumps(failure.body)[:40] + "<html>", media_type="application/json"
    )


async def no_usage(failure: Failure) -> Response:
    """Return an answer with a usage of zero tokens.

    Args:
        failure: with the body

    Returns:
        Status 200.
    """
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
    return JSONResponse(failure.body | {"usage": usage})


async def overcharge(failure: Failure) -> Response:
    """Return an answer with more tokens than it can have used.

    Args:
        failure: with the body

    Returns:
        Status 200.
    """
    usage = {
        "prompt_tokens": 10**7,
        "completion_tokens": 10**7,
        "total_tokens": 2 * 10**7,
    }
    return JSONResponse(failure.body | {"usage": usage})


FAILURES: Mapping[str, Answer] = {
    "busy": busy,
    "broken": broken,
    "hang": hang,
    "trickle": trickle,
    "reset": reset,
    "empty": empty,
    "refusal": refusal,
    "garbage": garbage,
    "no_usage": no_usage,
    "overcharge": overcharge,
}


class _CutOff(JSONResponse):
    """A response that ends after half of the announced body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        )
        await send(
            {
                "type": "http.response.body",
                "body": self.body[: len(self.body) // 2],
                "more_body": False,
            }
        )


def error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an error in OpenAI's format.

    Args:
        status: HTTP status
        code: machine-readable cause
        message: for people
        headers: further headers

    Returns:
        The response.
    """
    return JSONResponse(
        {"error": {"message": message, "type": code, "code": code}},
        status_code=status,
        headers=dict(headers or {}),
    )
