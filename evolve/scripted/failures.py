"""The ways in which a model server fails, each as the response that a client sees."""

from __future__ import annotations

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
    """A failure, and what the server would have said."""

    body: dict[str, Any]
    retry_after_s: float
    hang_s: float


Answer = Callable[[Failure], Awaitable[Response]]


async def busy(failure: Failure) -> Response:
    """429, with the time after which to come again."""
    return error(
        429, "rate_limit", "busy", {"Retry-After": f"{failure.retry_after_s:g}"}
    )


async def broken(failure: Failure) -> Response:
    """500."""
    return error(500, "server_error", "broken for now")


async def hang(failure: Failure) -> Response:
    """Nothing for a long time; then, should anybody still wait, the answer."""
    await asyncio.sleep(failure.hang_s)
    return JSONResponse(failure.body)


async def trickle(failure: Failure) -> Response:
    """A byte now and then: no single read takes long, the whole takes as long as a hang."""

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
    """The connection ends in the middle of the answer."""
    return _CutOff(failure.body)


async def empty(failure: Failure) -> Response:
    """An answer without a choice."""
    return JSONResponse(failure.body | {"choices": []})


async def refusal(failure: Failure) -> Response:
    """The model will not."""
    message = {
        "role": "assistant",
        "content": None,
        "refusal": "I can't help with that.",
    }
    choice = {"index": 0, "finish_reason": "content_filter", "message": message}
    return JSONResponse(failure.body | {"choices": [choice]})


async def garbage(failure: Failure) -> Response:
    """200, and something that is no JSON."""
    return Response(
        json.dumps(failure.body)[:40] + "<html>", media_type="application/json"
    )


async def no_usage(failure: Failure) -> Response:
    """An answer that says it used nothing."""
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
    return JSONResponse(failure.body | {"usage": usage})


async def overcharge(failure: Failure) -> Response:
    """An answer that claims more tokens than it can have used."""
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
    """Half of the body that was announced, then nothing: the server drops the connection."""

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
    """An error as such servers write it."""
    return JSONResponse(
        {"error": {"message": message, "type": code, "code": code}},
        status_code=status,
        headers=dict(headers or {}),
    )
