"""A server that answers as real ones do: the model's name says in which odd form.

Each quirk is a function from a request to a response; it is told how many requests came before.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from evolve.models.listening import listen

Body = dict[str, Any]
Quirk = Callable[[Body, int], Response]
PROGRAM = "def value():\n    return 2\n"
TEXT = f"I return more.\n\n```python\n{PROGRAM}```\n"
THOUGHTS = "Let me see. ```python\ndef value(): return 1\n``` No."
USAGE = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
PAGE = "<!DOCTYPE html><html><title>Sign in</title>" + "<p>Welcome to ACME.</p>" * 90
CONTEXT = 500  # of the models with a small one, in tokens of 4 characters
MOST_REPLY = 64

QUIRKS: dict[str, Quirk] = {}


def quirk(function: Quirk) -> Quirk:
    QUIRKS[function.__name__] = function
    return function


def answered(message: Body, usage: Body | None = None, **choice: Any) -> Body:
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", **message},
            }
            | choice
        ],
        "usage": USAGE if usage is None else usage,
    }


def saying(content: Any, **more: Any) -> Response:
    return JSONResponse(answered({"content": content, **more}))


def fits(asked: Body) -> Response:
    usage = {"prompt_tokens": size_of(asked), "completion_tokens": 20}
    return JSONResponse(answered({"content": TEXT}, usage))


def refused(status: int, message: str, **more: Any) -> Response:
    error = {"message": message, "type": "invalid_request_error", **more}
    return JSONResponse({"error": error}, status_code=status)


def size_of(asked: Body) -> int:
    return sum(len(m["content"]) for m in asked["messages"]) // 4


def events(*deltas: Body, end: str = "\n\n", usage: bool = True) -> Response:
    chunks: list[Body] = [
        {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
        }
        for delta in deltas
    ]
    chunks[-1]["choices"][0]["finish_reason"] = "stop"
    if usage:
        chunks.append({**chunks[0], "choices": [], "usage": USAGE})
    lines = [f"data: {json.dumps(chunk)}" for chunk in chunks]
    text = end.join([": PROCESSING", *lines, "data: [DONE]", ""])
    return Response(text, media_type="text/event-stream")


def in_pieces(text: str) -> list[Body]:
    return [{"role": "assistant", "content": ""}] + [
        {"content": text[start : start + 7]} for start in range(0, len(text), 7)
    ]


# Replies that a person could use.


@quirk
def plain(asked: Body, before: int) -> Response:
    return saying(TEXT)


@quirk
def parts(asked: Body, before: int) -> Response:
    return saying(
        [{"type": "text", "text": TEXT[:9]}, {"type": "text", "text": TEXT[9:]}]
    )


@quirk
def parts_with_thoughts(asked: Body, before: int) -> Response:
    inner = [{"type": "text", "text": THOUGHTS}]
    return saying(
        [{"type": "thinking", "thinking": inner}, {"type": "output_text", "text": TEXT}]
    )


@quirk
def reasoning_content(asked: Body, before: int) -> Response:
    return saying(TEXT, reasoning_content=THOUGHTS)


@quirk
def reasoning(asked: Body, before: int) -> Response:
    return saying(TEXT, reasoning=THOUGHTS, reasoning_details=[{"text": THOUGHTS}])


@quirk
def think_closed(asked: Body, before: int) -> Response:
    return saying(f"<think>\n{THOUGHTS}\n</think>\n\n{TEXT}")


@quirk
def think_end_only(asked: Body, before: int) -> Response:
    return saying(f"{THOUGHTS}\n</think>\n\n{TEXT}")


@quirk
def bom(asked: Body, before: int) -> Response:
    text = json.dumps(answered({"content": f"\ufeff{TEXT}"}), ensure_ascii=False)
    return Response(f"\ufeff{text}".encode(), media_type="application/json")


@quirk
def crlf(asked: Body, before: int) -> Response:
    return saying(TEXT.replace("\n", "\r\n"))


@quirk
def blanks_before(asked: Body, before: int) -> Response:
    text = json.dumps(answered({"content": TEXT}))
    return Response("\n \n" * 30 + text, media_type="application/json")


@quirk
def wrong_type(asked: Body, before: int) -> Response:
    text = json.dumps(answered({"content": TEXT}))
    return Response(text, media_type="text/plain")


@quirk
def no_usage(asked: Body, before: int) -> Response:
    body = answered({"content": TEXT})
    del body["usage"]
    return JSONResponse(body)


@quirk
def null_usage(asked: Body, before: int) -> Response:
    return JSONResponse(answered({"content": TEXT}) | {"usage": None})


@quirk
def zero_usage(asked: Body, before: int) -> Response:
    return JSONResponse(answered({"content": TEXT}, dict.fromkeys(USAGE, 0)))


@quirk
def half_usage(asked: Body, before: int) -> Response:
    return JSONResponse(answered({"content": TEXT}, {"prompt_tokens": 50}))


@quirk
def no_finish(asked: Body, before: int) -> Response:
    return JSONResponse(answered({"content": TEXT}, finish_reason=None))


@quirk
def other_finish(asked: Body, before: int) -> Response:
    return JSONResponse(answered({"content": TEXT}, finish_reason="eos"))


@quirk
def stream_unasked(asked: Body, before: int) -> Response:
    return events(*in_pieces(TEXT))


@quirk
def stream_only(asked: Body, before: int) -> Response:
    if not asked.get("stream"):
        return refused(400, "This model only supports streaming: stream must be true")
    return events(*in_pieces(TEXT), end="\r\n\r\n")


@quirk
def stream_only_bare(asked: Body, before: int) -> Response:
    if not asked.get("stream"):
        return refused(
            400, "Non-streaming is not supported; set stream=true", param="stream"
        )
    if "stream_options" in asked:
        return refused(400, "Unknown parameter", param="stream_options")
    return events({"reasoning_content": THOUGHTS}, *in_pieces(TEXT), usage=False)


@quirk
def no_temperature(asked: Body, before: int) -> Response:
    if "temperature" in asked:
        return refused(
            400,
            "Unsupported value: 'temperature' does not support 0.8 with this model. Only "
            "the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )
    return saying(TEXT)


@quirk
def no_max_tokens(asked: Body, before: int) -> Response:
    if "max_tokens" in asked:
        return refused(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
        )
    assert asked["max_completion_tokens"] > 0
    return saying(TEXT)


@quirk
def no_seed(asked: Body, before: int) -> Response:
    if "seed" in asked:
        detail = [
            {
                "type": "extra_forbidden",
                "loc": ["body", "seed"],
                "msg": "Extra inputs are not permitted",
            }
        ]
        return JSONResponse({"detail": detail}, status_code=422)
    return saying(TEXT)


@quirk
def no_parameters(asked: Body, before: int) -> Response:
    """Google's words, one parameter after the other."""
    for name in ("seed", "temperature", "max_tokens", "max_completion_tokens"):
        if name in asked:
            return refused(400, f'Unknown name "{name}": Cannot find field.')
    return saying(TEXT)


@quirk
def no_system(asked: Body, before: int) -> Response:
    if any(m["role"] == "system" for m in asked["messages"]):
        return refused(400, "System role not supported")
    return saying(TEXT)


@quirk
def alternating(asked: Body, before: int) -> Response:
    if asked["messages"][0]["role"] != "user":
        return refused(
            400, "Conversation roles must alternate user/assistant/user/assistant/..."
        )
    return saying(TEXT)


@quirk
def short_replies(asked: Body, before: int) -> Response:
    if asked["max_tokens"] > MOST_REPLY:
        return refused(
            400,
            f"max_tokens is too large: {asked['max_tokens']}. This model supports at most "
            f"{MOST_REPLY} completion tokens.",
            param="max_tokens",
        )
    return saying(TEXT)


@quirk
def context_of_vllm(asked: Body, before: int) -> Response:
    prompt, reply = size_of(asked), asked["max_tokens"]
    if prompt + reply > CONTEXT:
        message = (
            f"This model's maximum context length is {CONTEXT} tokens. However, you requested "
            f"{prompt + reply} tokens ({prompt} in the messages, {reply} in the completion). "
            "Please reduce the length of the messages or completion."
        )
        error = {
            "object": "error",
            "message": message,
            "type": "BadRequestError",
            "code": 400,
        }
        return JSONResponse(error, status_code=400)
    return fits(asked)


@quirk
def context_of_new_vllm(asked: Body, before: int) -> Response:
    prompt, reply = size_of(asked), asked["max_tokens"]
    if prompt + reply > CONTEXT:
        return refused(
            400,
            f"'max_tokens' or 'max_completion_tokens' is too large: {reply}. This model's "
            f"maximum context length is {CONTEXT} tokens and your request has {prompt} input "
            f"tokens ({reply} > {CONTEXT} - {prompt}).",
        )
    return fits(asked)


@quirk
def context_of_anthropic(asked: Body, before: int) -> Response:
    prompt, reply = size_of(asked), asked["max_tokens"]
    if prompt + reply > CONTEXT:
        return refused(
            400,
            f"input length and `max_tokens` exceed context limit: {prompt} + {reply} > "
            f"{CONTEXT}, decrease input length or `max_tokens` and try again",
        )
    return fits(asked)


@quirk
def context_untold(asked: Body, before: int) -> Response:
    if size_of(asked) + asked["max_tokens"] > CONTEXT:
        return refused(400, "Please reduce the length of the messages or completion.")
    return fits(asked)


@quirk
def text_choice(asked: Body, before: int) -> Response:
    choice = {"index": 0, "text": TEXT, "finish_reason": "stop"}
    return JSONResponse(answered({}) | {"choices": [choice]})


@quirk
def tool_call(asked: Body, before: int) -> Response:
    arguments = json.dumps({"path": "program.py", "content": PROGRAM})
    call = {
        "id": "1",
        "type": "function",
        "function": {"name": "write_file", "arguments": arguments},
    }
    message = {"content": None, "tool_calls": [call]}
    return JSONResponse(answered(message, finish_reason="tool_calls"))


@quirk
def error_first(asked: Body, before: int) -> Response:
    if before == 0:
        error = {
            "code": 502,
            "message": "Provider returned error",
            "metadata": {"raw": "boom"},
        }
        return JSONResponse({"error": error, "id": "x"})
    return saying(TEXT)


@quirk
def choice_fails_first(asked: Body, before: int) -> Response:
    if before == 0:
        failed = {"code": 502, "message": "Provider disconnected"}
        return JSONResponse(
            answered({"content": ""}, finish_reason="error", error=failed)
        )
    return saying(TEXT)


@quirk
def cut_off_once(asked: Body, before: int) -> Response:
    if before == 0:
        return Response('{"id": "x", "choices": [', media_type="application/json")
    return saying(TEXT)


# Replies without a program, which are replies all the same.


@quirk
def refusal(asked: Body, before: int) -> Response:
    return saying(None, refusal="I can't help with that.")


@quirk
def empty(asked: Body, before: int) -> Response:
    return JSONResponse(answered({"content": ""}, USAGE | {"completion_tokens": 3}))


@quirk
def cut_at_the_limit(asked: Body, before: int) -> Response:
    half = TEXT[: len(TEXT) // 2]
    return JSONResponse(answered({"content": half}, finish_reason="MAX_TOKENS"))


@quirk
def cut_without_reason(asked: Body, before: int) -> Response:
    half = TEXT[: len(TEXT) - 8]
    return JSONResponse(answered({"content": half}, finish_reason=None))


# Endpoints without hope.


@quirk
def page(asked: Body, before: int) -> Response:
    return Response(PAGE, media_type="text/html")


@quirk
def login(asked: Body, before: int) -> Response:
    return RedirectResponse("/login", status_code=302)


@quirk
def says_ok(asked: Body, before: int) -> Response:
    return Response("OK", media_type="text/plain")


@quirk
def cut_off(asked: Body, before: int) -> Response:
    return Response('{"id": "x", "choices": [', media_type="application/json")


@quirk
def no_choices(asked: Body, before: int) -> Response:
    return JSONResponse(answered({}) | {"choices": []})


@quirk
def only_reasoning(asked: Body, before: int) -> Response:
    usage = {"prompt_tokens": 50, "completion_tokens": asked["max_tokens"]}
    return JSONResponse(
        answered(
            {"content": None, "reasoning_content": THOUGHTS},
            usage,
            finish_reason="length",
        )
    )


@quirk
def hidden_reasoning(asked: Body, before: int) -> Response:
    details = {"reasoning_tokens": asked["max_tokens"]}
    usage = {
        "prompt_tokens": 50,
        "completion_tokens": asked["max_tokens"],
        "completion_tokens_details": details,
    }
    return JSONResponse(answered({"content": ""}, usage, finish_reason="length"))


@quirk
def think_unclosed(asked: Body, before: int) -> Response:
    usage = {"prompt_tokens": 50, "completion_tokens": asked["max_tokens"]}
    return JSONResponse(
        answered({"content": f"<think>\n{THOUGHTS}"}, usage, finish_reason="length")
    )


@quirk
def wrong_key(asked: Body, before: int) -> Response:
    return refused(401, "Incorrect API key provided", code="invalid_api_key")


@quirk
def wrong_key_inside(asked: Body, before: int) -> Response:
    return JSONResponse({"error": {"code": 401, "message": "User not found."}})


@quirk
def no_credit(asked: Body, before: int) -> Response:
    return refused(402, "Insufficient credits")


@quirk
def no_quota(asked: Body, before: int) -> Response:
    return refused(429, "You exceeded your current quota", code="insufficient_quota")


@quirk
def unknown(asked: Body, before: int) -> Response:
    return refused(404, "The model `unknown` does not exist", code="model_not_found")


@quirk
def small_context(asked: Body, before: int) -> Response:
    return refused(400, "This model's maximum context length is 128 tokens.")


# Anthropic's protocol.

MESSAGES: dict[str, Quirk] = {}


def message_quirk(function: Quirk) -> Quirk:
    MESSAGES[function.__name__] = function
    return function


def message(**more: Any) -> Response:
    return JSONResponse(
        {
            "id": "x",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": TEXT}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 50, "output_tokens": 20},
        }
        | more
    )


def failing(status: int, text: str, kind: str = "invalid_request_error") -> Response:
    error = {"type": kind, "message": text}
    return JSONResponse({"type": "error", "error": error}, status_code=status)


@message_quirk
def says_it(asked: Body, before: int) -> Response:
    return message()


@message_quirk
def thinks_first(asked: Body, before: int) -> Response:
    thought = {"type": "thinking", "thinking": THOUGHTS, "signature": "s"}
    return message(content=[thought, {"type": "text", "text": TEXT}])


@message_quirk
def chooses_its_temperature(asked: Body, before: int) -> Response:
    if "temperature" in asked:
        return failing(400, "`temperature` is deprecated for this model.")
    return message()


@message_quirk
def has_short_replies(asked: Body, before: int) -> Response:
    if asked["max_tokens"] > MOST_REPLY:
        return failing(
            400,
            f"max_tokens: {asked['max_tokens']} > {MOST_REPLY}, which is the maximum allowed "
            "number of output tokens for m",
        )
    return message()


@message_quirk
def has_a_small_context(asked: Body, before: int) -> Response:
    prompt, reply = len(json.dumps(asked["messages"])) // 4, asked["max_tokens"]
    if prompt + reply > CONTEXT:
        return failing(
            400,
            f"input length and `max_tokens` exceed context limit: {prompt} + {reply} > "
            f"{CONTEXT}, decrease input length or `max_tokens` and try again",
        )
    return message()


@message_quirk
def fails_inside_first(asked: Body, before: int) -> Response:
    if before == 0:
        error = {"type": "api_error", "message": "Provider boom"}
        return JSONResponse({"type": "error", "error": error})
    return message()


@message_quirk
def has_no_content(asked: Body, before: int) -> Response:
    return JSONResponse({"id": "x", "type": "message"})


@message_quirk
def is_cut_off(asked: Body, before: int) -> Response:
    return Response('{"id": "x", "content": [', media_type="application/json")


@message_quirk
def is_a_page(asked: Body, before: int) -> Response:
    return Response(PAGE, media_type="text/html")


@message_quirk
def knows_no_such_key(asked: Body, before: int) -> Response:
    return failing(401, "invalid x-api-key", "authentication_error")


@dataclass
class Odd:
    """The server.

    Attributes:
        asked: model -> bodies of its requests
        heads: model -> headers of its requests
    """

    asked: dict[str, list[Body]] = field(default_factory=dict)
    heads: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    listed: list[Body] = field(default_factory=list)
    port: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
                Route("/v1/messages", self.message, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/login", self.sign_in),
            ]
        )

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        name = str(body["model"])
        known = self.asked.setdefault(name, [])
        known.append(body)
        self.heads.setdefault(name, []).append(dict(request.headers))
        return QUIRKS[name.partition("-")[0]](body, len(known) - 1)

    async def message(self, request: Request) -> Response:
        """The route of Anthropic, which litellm asks."""
        body = await request.json()
        name = str(body["model"])
        known = self.asked.setdefault(name, [])
        known.append(body)
        return MESSAGES[name](body, len(known) - 1)

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": self.listed})

    async def sign_in(self, request: Request) -> Response:
        return Response(PAGE, media_type="text/html")

    def at(self, model: str) -> str:
        """The full name of a model of this server."""
        return f"{model}@http://127.0.0.1:{self.port}/v1"


@contextmanager
def odd_server() -> Iterator[Odd]:
    """Serve in a thread."""
    odd = Odd()
    with listen() as listening:
        odd.port = listening.getsockname()[1]
        config = uvicorn.Config(
            odd.app(), log_level="critical", timeout_graceful_shutdown=0
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, daemon=True
        )
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield odd
        finally:
            server.should_exit = True
            thread.join(10)
