"""A model for agents over a real socket: it follows the shipped agent's protocol, by simple rules."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from evolve.models.listening import listen

Reply = Callable[[list[dict[str, str]], int], str]
DIAGNOSIS = "Idea {idea}.\nprompts/system.md should say: skill {skill} of idea {idea}."


def edit(path: str, old: str, new: str) -> str:
    return f"I change it.\n````edit {path}\n<<<<<<<\n{old}=======\n{new}>>>>>>>\n````\n"


def answer(messages: list[dict[str, str]], seed: int) -> str:
    """What a model says that solves the more words, the more skill the agent's own prompt has."""
    text = "\n".join(message["content"] for message in messages)
    if "You improve a coding agent" in text:
        return DIAGNOSIS.format(skill=_skill(text) + 1, idea=seed % 1000)
    if has_written(messages):
        return "It is done.\n```done\nyes\n```\n"
    if "greeting.txt" in text:
        return edit("greeting.txt", "hello\n", "goodbye\n")
    if wanted := re.search(r"should say: (skill \d+ of idea \d+)", text):
        return edit("prompts/system.md", "", f"You work step by step. {wanted[1]}\n")
    word = re.search(r"print the word (\w+)", text)
    known = "abcdefgh"[: 2 + 2 * _skill(text)]
    if word is None or word[1][0] not in known:
        return "I give up.\n```done\nno\n```\n"
    return edit("main.py", "print('nothing')\n", f"print('{word[1]}')\n")


def has_written(messages: list[dict[str, str]]) -> bool:
    """Whether the agent's last step changed a file."""
    return len(messages) > 2 and "is written" in messages[-1]["content"]


def _skill(text: str) -> int:
    return max((int(found) for found in re.findall(r"skill (\d+)", text)), default=0)


@dataclass
class AgentModel:
    """Remembers what it was asked."""

    reply: Reply = answer
    latency_s: float = 0.0
    uneven_s: float = 0.0  # up to so much longer, by chance
    company: int = 1  # the first replies wait until so many are asked for at once
    company_s: float = 30.0  # but no longer than this
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    model: str = ""
    at_once: int = 0
    most_at_once: int = 0

    @property
    def calls(self) -> int:
        return len(self.requests)

    async def _wait_for_company(self) -> None:
        deadline = time.monotonic() + self.company_s
        while self.most_at_once < self.company and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    async def complete(self, request: Request) -> JSONResponse:
        asked = await request.json()
        self.requests.append(asked)
        self.keys.add(request.headers.get("authorization", ""))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if "greeting.txt" not in str(asked["messages"]):  # the toy is worked on alone
            await self._wait_for_company()
        await asyncio.sleep(self.latency_s + random.uniform(0.0, self.uneven_s))
        self.at_once -= 1
        text = self.reply(asked["messages"], int(asked.get("seed") or 0))
        prompt = sum(len(m["content"]) for m in asked["messages"]) // 4
        return JSONResponse(
            {
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": text},
                    }
                ],
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": max(1, len(text) // 4),
                },
            }
        )


def _listen() -> socket.socket:
    """Listen below the ports that a kernel gives away: the proxy in a box has one of those."""
    while True:
        try:
            return listen(port=random.randrange(10_000, 30_000))
        except OSError:  # the port is taken
            continue


@contextmanager
def serving_agents(model: AgentModel | None = None) -> Iterator[AgentModel]:
    model = model or AgentModel()
    app = Starlette(
        routes=[Route("/v1/chat/completions", model.complete, methods=["POST"])]
    )
    with _listen() as listening:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0)
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, daemon=True
        )
        thread.start()
        while not server.started:
            time.sleep(0.01)
        model.model = (
            f"hosted_vllm/agents@http://127.0.0.1:{listening.getsockname()[1]}/v1"
        )
        try:
            yield model
        finally:
            server.should_exit = True
            thread.join(10)
