"""The scripted model: an OpenAI-compatible server that answers without a model.

It finds the current program in a prompt, makes a small random change, and answers in the form that
the prompt asks for. The answer follows from (messages, seed) alone. It can be slow, fail, and answer
badly, so that everything around a model can be tried for nothing.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import math
import random
import re
import socket
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evolve.operators.edits import DIVIDER, REPLACE, SEARCH, fenced_blocks
from evolve.operators.syntactic import mutate_numbers, mutate_python

NAME = "scripted"
BYTES_PER_TOKEN = 4
_TRIES = 30
_CURRENT = re.compile(r"^# Current program$", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """How the server behaves."""

    latency_s: float = 0.0
    spread: float = 0.0  # latencies are log-normal with this sigma, and other ones every time
    fail_rate: float = 0.0  # answers with 429 or 500
    bad_rate: float = 0.0  # answers that are empty, cut off, without code, or with broken code
    key: str | None = None  # the only key that is let in
    context_tokens: int = 128_000


class Written(NamedTuple):
    """A reply's text and why it ended."""

    text: str
    finish_reason: str


class ScriptedModel:
    """The application: chat completions, models, and counters for tests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls = 0
        self.replies = 0

    def app(self) -> Starlette:
        """Routes below /v1, and /stats."""
        return Starlette(routes=[
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/v1/models", self.models), Route("/stats", self.stats)])

    async def models(self, request: Request) -> Response:
        """The one model that is served."""
        return JSONResponse({"object": "list", "data": [{"id": NAME, "object": "model"}]})

    async def stats(self, request: Request) -> Response:
        """Requests that arrived, and replies that were sent."""
        return JSONResponse({"calls": self.calls, "replies": self.replies})

    async def complete(self, request: Request) -> Response:
        """One chat completion, or one of the errors that servers give."""
        asked = await request.json()
        if self.script.key is not None and (
                request.headers.get("authorization") != f"Bearer {self.script.key}"):
            return _error(401, "invalid_api_key", "Incorrect API key provided")
        if asked.get("model") != NAME:
            return _error(404, "model_not_found", f"The model `{asked.get('model')}` does not exist")
        self.calls += 1
        prompt = sum(len(m["content"].encode()) for m in asked["messages"]) // BYTES_PER_TOKEN
        if prompt > self.script.context_tokens:
            return _error(400, "context_length_exceeded", "This model's maximum context length is "
                          f"{self.script.context_tokens} tokens, however you requested {prompt}")
        await asyncio.sleep(self.script.latency_s * math.exp(self.script.spread * random.gauss(0, 1)))
        rng = _generator(asked)
        if rng.random() < self.script.fail_rate:
            return _error(429, "rate_limit", "busy") if rng.random() < 0.5 else _error(
                500, "server_error", "broken for now")
        written = self._write(asked, rng)
        self.replies += 1
        return JSONResponse(_response(written, prompt))

    def _write(self, asked: dict[str, Any], rng: np.random.Generator) -> Written:
        if rng.random() < self.script.bad_rate:
            return bad_reply(rng)
        text = answer(asked["messages"], rng)
        limit = int(asked.get("max_tokens") or 4096) * BYTES_PER_TOKEN
        if len(text) > limit:
            return Written(text[:limit], "length")
        return Written(text, "stop")


def answer(messages: list[dict[str, str]], rng: np.random.Generator) -> str:
    """A reply in the form that the prompt asks for; one word where there is no program."""
    prompt = next(m["content"] for m in messages if m["role"] == "user")
    found = _CURRENT.search(prompt)
    blocks = fenced_blocks(prompt[found.end():]) if found else []
    if not blocks:
        return "Hello."
    text, note = _changed(blocks[0].text, blocks[0].before, rng)
    if SEARCH in prompt:
        return f"I try this: {note}.\n\n{as_search_replace(blocks[0].text, text)}"
    return f"I try this: {note}.\n\n```\n{text}```\n"


def _changed(text: str, path: str, rng: np.random.Generator) -> tuple[str, str]:
    mutate = mutate_python if path.strip().endswith(".py") else mutate_numbers
    for _ in range(_TRIES):
        changed = mutate(text, rng)
        if changed is not None and changed[0] != text:
            return changed
    return text, "nothing comes to mind"


def as_search_replace(before: str, after: str) -> str:
    """One block that turns `before` into `after`, with as much around it as makes it unique."""
    old, new = before.splitlines(), after.splitlines()
    changes = [code for code in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
               if code[0] != "equal"]
    first, last = changes[0][1], changes[-1][2]
    tail = len(old) - last
    while first > 0 or last < len(old):
        wanted = old[first:last]
        count = sum(old[k:k + len(wanted)] == wanted for k in range(len(old)))
        if any(line.strip() for line in wanted) and count == 1:
            break
        first, last = max(0, first - 1), min(len(old), last + 1)
        tail = len(old) - last
    lines = [SEARCH, *old[first:last], DIVIDER, *new[first:len(new) - tail], REPLACE]
    return "\n".join(lines) + "\n"


def bad_reply(rng: np.random.Generator) -> Written:
    """What models give on a bad day."""
    return (
        Written("", "stop"),
        Written("I would first look at the\n```python\ndef half_a", "length"),
        Written("The program is fine as it is.", "stop"),
        Written(f"{SEARCH}\nno such line anywhere\n{DIVIDER}\nx = 1\n{REPLACE}\n", "stop"),
        Written("```python\n# EVOLVE-BLOCK-START\ndef f(:\n# EVOLVE-BLOCK-END\n```\n", "stop"),
    )[int(rng.integers(5))]


def _generator(asked: dict[str, Any]) -> np.random.Generator:
    """From the messages and the seed alone: the order of arrival changes nothing."""
    key = json.dumps([asked["messages"], asked.get("seed")]).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8], "big"))


def _error(status: int, code: str, message: str) -> Response:
    headers = {"Retry-After": "0"} if status == 429 else {}
    return JSONResponse({"error": {"message": message, "type": code, "code": code}},
                        status_code=status, headers=headers)


def _response(written: Written, prompt_tokens: int) -> dict[str, Any]:
    completion = len(written.text.encode()) // BYTES_PER_TOKEN
    return {
        "id": "scripted", "object": "chat.completion", "created": 0, "model": NAME,
        "choices": [{"index": 0, "finish_reason": written.finish_reason,
                     "message": {"role": "assistant", "content": written.text}}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion,
                  "total_tokens": prompt_tokens + completion}}


def serve(script: Script, port: int) -> None:
    """Serve on loopback until interrupted; port 0 takes a free one, which is printed."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        sys.stdout.write(f"hosted_vllm/{NAME}@{address}\n")
        sys.stdout.flush()
        config = uvicorn.Config(ScriptedModel(script).app(), log_level="warning")
        uvicorn.Server(config).run(sockets=[listening])
