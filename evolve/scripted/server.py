"""The scripted model as a server: chat completions on loopback, with counters."""

import asyncio
import hashlib
import json
import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from numpy.random import Generator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evolve.archive import embed
from evolve.models.listening import listen
from evolve.scripted.failures import FAILURES, Failure, error
from evolve.scripted.replies import Written, answer, bad_reply

NAME = "scripted"
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Script:
    """Behaviour of the server.

    Attributes:
        latency_s: mean latency
        spread: sigma of log-normal latencies, which differ each time
        fail_rate: share of answers with status 429 or 500
        bad_rate: share of empty, truncated or broken replies, or replies without code
        key: the only accepted API key; None accepts all
        context_tokens: longest prompt
        failures: name -> share of the requests
        retry_after_s: pause requested by a 429
        hang_s: duration of a hang or trickle
        cached_share: share of the prompt's tokens reported as cached
        name: of the model
    """

    latency_s: float = 0.0
    spread: float = 0.0
    fail_rate: float = 0.0
    bad_rate: float = 0.0
    key: str | None = None
    context_tokens: int = 128_000
    failures: Mapping[str, float] = field(default_factory=dict)
    retry_after_s: float = 0.0
    hang_s: float = 3600.0
    cached_share: float = 0.0
    name: str = NAME

    def rates(self) -> dict[str, float]:
        """Return the share of each failure.

        Returns:
            Name -> share, with `fail_rate` divided between "busy" and "broken".
        """
        return {"busy": self.fail_rate / 2, "broken": self.fail_rate / 2} | dict(
            self.failures
        )


class ScriptedModel:
    """The web application: chat completions, embeddings, models, and counters.

    Args:
        script: behaviour of the server
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls = 0
        self.replies = 0
        self.failed: dict[str, int] = {}

    def app(self) -> Starlette:
        """Return the application.

        Returns:
            Routes below /v1, /health and /stats.
        """
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
                Route("/v1/embeddings", self.embed, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/health", self.models),
                Route("/stats", self.stats),
            ]
        )

    async def models(self, request: Request) -> Response:
        """Return the list with the only model."""
        return JSONResponse(
            {"object": "list", "data": [{"id": self.script.name, "object": "model"}]}
        )

    async def stats(self, request: Request) -> Response:
        """Return the counters.

        Args:
            request: unused

        Returns:
            Requested replies, sent replies, and failures by name.
        """
        return JSONResponse(
            {"calls": self.calls, "replies": self.replies} | self.failed
        )

    async def complete(self, request: Request) -> Response:
        """Answer a chat request, or fail.

        Args:
            request: in OpenAI's format

        Returns:
            A completion or an error.
        """
        asked = await request.json()
        if self.script.key is not None and (
            request.headers.get("authorization") != f"Bearer {self.script.key}"
        ):
            return error(401, "invalid_api_key", "Incorrect API key provided")
        if asked.get("model") != self.script.name:
            return error(
                404,
                "model_not_found",
                f"The model `{asked.get('model')}` does not exist",
            )
        self.calls += int(asked.get("n") or 1)
        prompt = (
            sum(len(m["content"].encode()) for m in asked["messages"])
            // BYTES_PER_TOKEN
        )
        if prompt > self.script.context_tokens:
            return error(
                400,
                "context_length_exceeded",
                "This model's maximum context length is "
                f"{self.script.context_tokens} tokens, however you requested {prompt}",
            )
        await asyncio.sleep(
            self.script.latency_s * math.exp(self.script.spread * random.gauss(0, 1))
        )
        key = json.dumps([asked["messages"], asked.get("seed")]).encode()
        rng = np.random.default_rng(
            int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
        )
        fails = _failure(self.script.rates(), rng)
        body = _response(
            [self._write(asked, rng) for _ in range(int(asked.get("n") or 1))],
            prompt,
            self.script.cached_share,
        )
        if fails is not None:
            self.failed[fails] = self.failed.get(fails, 0) + 1
            return await FAILURES[fails](
                Failure(body, self.script.retry_after_s, self.script.hang_s)
            )
        self.replies += len(body["choices"])
        return JSONResponse(body)

    async def embed(self, request: Request) -> Response:
        """Return vectors of token n-grams, as the archive computes them.

        Args:
            request: in OpenAI's format

        Returns:
            One vector per text.
        """
        asked = await request.json()
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        self.calls += len(texts)
        self.replies += len(texts)
        tokens = sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN
        return JSONResponse(
            {
                "object": "list",
                "model": NAME,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
                "data": [
                    {
                        "object": "embedding",
                        "index": place,
                        "embedding": embed({"text.py": text.encode()}).tolist(),
                    }
                    for place, text in enumerate(texts)
                ],
            }
        )

    def _write(self, asked: dict[str, Any], rng: Generator) -> Written:
        if rng.random() < self.script.bad_rate:
            return bad_reply(rng)
        text = answer(asked["messages"], rng)
        limit = int(asked.get("max_tokens") or 4096) * BYTES_PER_TOKEN
        if len(text) > limit:
            return Written(text[:limit], "length")
        return Written(text, "stop")


def _failure(rates: Mapping[str, float], rng: Generator) -> str | None:
    """Draw a failure; None for no failure."""
    drawn, below = rng.random(), 0.0
    for name, rate in rates.items():
        below += rate
        if drawn < below:
            return name
    return None


def _response(
    written: Sequence[Written], prompt_tokens: int, cached_share: float
) -> dict[str, Any]:
    completion = sum(len(each.text.encode()) // BYTES_PER_TOKEN for each in written)
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": NAME,
        "choices": [
            {
                "index": place,
                "finish_reason": each.finish_reason,
                "message": {"role": "assistant", "content": each.text},
            }
            for place, each in enumerate(written)
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": prompt_tokens + completion,
            "prompt_tokens_details": {
                "cached_tokens": int(cached_share * prompt_tokens)
            },
        },
    }


def serve(script: Script, port: int) -> None:
    """Serve on loopback until interrupted; print the name to pass to --model.

    Args:
        script: behaviour of the server
        port: 0 for a free port
    """
    with listen(port=port) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        sys.stdout.write(f"hosted_vllm/{NAME}@{address}\n")
        sys.stdout.flush()
        # Incomplete answers are simulated failures, not faults of this server.
        config = uvicorn.Config(ScriptedModel(script).app(), log_level="critical")
        uvicorn.Server(config).run(sockets=[listening])
