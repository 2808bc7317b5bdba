"""Providers that are asked directly: where, with which key, and what is left out of a request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from evolve.archive import Reply
from evolve.errors import ConfigError
from evolve.models import (
    Client,
    ModelError,
    ModelFault,
    SamplingParams,
    check_key,
    parse_model,
)
from evolve.models.compatible import explain
from evolve.models.endpoints import ENDPOINTS, endpoint_of
from evolve.models.extra import load_litellm
from evolve.models.proxies import on_this_machine

MESSAGES = [{"role": "user", "content": "Hello."}]
ASK = SamplingParams(64, 7, 0.5, samples=2)
REPLY = {
    "choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}
KEY = "sk-planted-0123456789"
SAME_ADDRESS = (
    "groq",
    "xai",
    "fireworks_ai",
    "together_ai",
    "cerebras",
    "deepinfra",
    "nvidia_nim",
    "mistral",
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for endpoint in ENDPOINTS.values():
        for name in (*endpoint.address_variables, *endpoint.key_variables):
            monkeypatch.delenv(name, raising=False)


def body(model: str) -> dict[str, Any]:
    endpoint = endpoint_of(model)
    assert endpoint is not None
    return endpoint.body(model.partition("/")[2], ASK.request(MESSAGES))


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("openai/x", "https://api.openai.com/v1"),
        ("openrouter/a/x", "https://openrouter.ai/api/v1"),
        ("ollama/x", "http://localhost:11434/v1"),
        ("ollama_chat/x", "http://localhost:11434/v1"),
        ("lm_studio/x", "http://localhost:1234/v1"),
        ("llamafile/x", "http://localhost:8080/v1"),
        ("hosted_vllm/x", None),
    ],
)
def test_usual_addresses(model: str, address: str | None) -> None:
    endpoint = endpoint_of(model)
    assert endpoint is not None and endpoint.base(None) == address


# pydantic's, about litellm's own types
@pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning")
@pytest.mark.parametrize("provider", SAME_ADDRESS)
def test_addresses_and_keys_are_those_of_litellm(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as loading it does, for good
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm, endpoint = load_litellm("the test"), ENDPOINTS[provider]
    for variable in endpoint.key_variables:
        with monkeypatch.context() as one:
            one.setenv(variable, KEY)
            _, _, key, address = litellm.get_llm_provider(f"{provider}/x")
            assert (
                (key, address) == (endpoint.key, endpoint.base(None)) == (KEY, address)
            )


def test_addresses_come_from_the_name_then_from_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    openai, ollama = ENDPOINTS["openai"], ENDPOINTS["ollama"]
    monkeypatch.setenv("OPENAI_API_BASE", "http://second/v1")
    assert openai.base(None) == "http://second/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://first/v1/")
    assert openai.base(None) == "http://first/v1"
    assert openai.base("http://named/v1") == "http://named/v1"
    monkeypatch.setenv("OLLAMA_API_BASE", "http://gpu:11434")
    assert (
        ollama.base(None) == ollama.base("http://gpu:11434/v1") == "http://gpu:11434/v1"
    )


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o-mini",
        "openai/gpt-5-chat-latest",
        "openai/gpt-oss-20b",
        "openrouter/openai/o3",
        "hosted_vllm/o3-mini",
        "groq/x",
    ],
)
def test_a_request_is_sent_as_it_is(model: str) -> None:
    assert body(model) == {"model": model.partition("/")[2], **ASK.request(MESSAGES)}


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.1-mini"]
)
def test_reasoning_models_of_openai_choose_their_temperature(model: str) -> None:
    sent = body(f"openai/{model}")
    assert sent == {
        "model": model,
        "messages": MESSAGES,
        "seed": 7,
        "n": 2,
        "max_completion_tokens": 64,
    }


def test_what_a_provider_refuses_is_left_out() -> None:
    assert {"n", "seed"}.isdisjoint(body("mistral/x")) and body("mistral/x")[
        "random_seed"
    ] == 7
    assert "n" not in body("ollama/x") and "seed" not in body("deepinfra/x")
    assert body("fireworks_ai/qwen")["model"] == "accounts/fireworks/models/qwen"
    assert body("fireworks_ai/accounts/me/models/q")["model"] == "accounts/me/models/q"


def test_keys_are_checked_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for own in (
        "ollama/x",
        "lm_studio/x",
        "llamafile/x",
        "hosted_vllm/x@http://gpu:8000/v1",
        "vllm:x",
    ):
        check_key(parse_model(own))
    with pytest.raises(ConfigError, match="where is the server of hosted_vllm/x"):
        check_key(parse_model("hosted_vllm/x"))
    with pytest.raises(
        ConfigError, match="needs a key: OPENROUTER_API_KEY or OR_API_KEY is not set"
    ):
        check_key(parse_model("openrouter/a/x"))
    monkeypatch.setenv("OR_API_KEY", KEY)
    check_key(parse_model("openrouter/a/x"))


def answered(model: str, reply: dict[str, Any]) -> tuple[list[bytes], Any]:
    """Ask a model at a server that gives `reply`: what the server was sent, and what was made of it."""
    sent: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        sent.extend((head, await reader.readexactly(length)))
        text = json.dumps(reply).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (len(text), text)
        )
        await writer.drain()
        writer.close()

    async def work() -> Any:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Client(30.0)
        address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        try:
            name = parse_model(f"{model}@{address}")
            if "data" in reply:
                return await client.embed(name, ["a text"])
            return await client.complete(name, MESSAGES, ASK)
        finally:
            await client.aclose()
            listening.close()

    return sent, asyncio.run(work())


def test_a_key_is_sent_and_no_proxy_is_asked_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    (head, sent), reply = answered("openai/gpt-4o-mini", REPLY)
    assert (
        head.startswith(b"POST /v1/chat/completions")
        and f"Bearer {KEY}".encode() in head
    )
    assert json.loads(sent)["model"] == "gpt-4o-mini"
    assert reply.samples == (Reply("Hi.", "stop"),) and reply.prompt_tokens == 3


def test_embeddings_are_asked_directly() -> None:
    (head, sent), found = answered(
        "ollama/x", {"data": [{"embedding": [0.5, 1.0]}], "usage": {"prompt_tokens": 2}}
    )
    assert head.startswith(b"POST /v1/embeddings")
    assert json.loads(sent) == {"model": "x", "input": ["a text"]}
    assert found.vectors == [[0.5, 1.0]] and found.tokens == 2


def test_thoughts_in_parts_are_no_reply() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Hi."},
    ]
    choice = {"message": {"content": parts}, "finish_reason": "stop"}
    _, reply = answered("mistral/magistral", REPLY | {"choices": [choice]})
    assert reply.samples == (Reply("Hi.", "stop"),)


def test_an_error_in_an_answer_that_is_no_error_is_reported_and_costs_nothing() -> None:
    """OpenRouter's way to say that a provider failed after the answer began."""
    with pytest.raises(ModelError, match="Provider returned error") as raised:
        answered(
            "openrouter/a/x",
            {"error": {"code": 502, "message": "Provider returned error"}},
        )
    assert raised.value.fault is ModelFault.TRY_AGAIN


@pytest.mark.parametrize(
    ("status", "said", "fault"),
    [
        (401, "Incorrect API key provided", ModelFault.FINAL),
        (
            403,
            "Your chosen model requires moderation and your input was flagged",
            ModelFault.PROMPT,
        ),
        (403, "this key may not do that", ModelFault.FINAL),
        (
            400,
            "This model's maximum prompt length is 131072 but the request contains 140000 tokens",
            ModelFault.PROMPT,
        ),
        (400, "Current length is 9000 while limit is 8192", ModelFault.PROMPT),
        (
            400,
            "Your request was rejected as a result of our safety system",
            ModelFault.PROMPT,
        ),
        (404, "The model `x` does not exist", ModelFault.FINAL),
        (404, "No endpoints found for a/x.", ModelFault.FINAL),
        (429, "Rate limit reached", ModelFault.TRY_AGAIN),
        (503, "overloaded", ModelFault.TRY_AGAIN),
    ],
)
def test_what_a_refusal_means(status: int, said: str, fault: ModelFault) -> None:
    error = explain(
        parse_model("openai/x"),
        status,
        json.dumps({"error": {"message": said}}),
        {"retry-after": "7"},
    )
    assert error.fault is fault and said in error.message
    assert error.retry_after_s == (7.0 if fault is ModelFault.TRY_AGAIN else None)
    assert ("/v1" in error.hint) is False


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.3/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://10.0.0.5/v1", False),
        ("http://[::1/v1", False),
    ],
)
def test_no_proxy_leads_to_loopback(address: str, local: bool) -> None:
    assert on_this_machine(address) is local
