"""Which requests go through a proxy."""

from __future__ import annotations

import asyncio
import os

import pytest

from evolve.models.proxies import DirectAddresses, is_nearby, proxy_for

PROXY = "http://me:word@proxy.example.com:3128"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("address", "nearby"),
    [
        ("http://localhost:8000/v1", True),
        ("http://gpu.localhost/v1", True),
        ("http://127.0.0.3/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.5/v1", True),
        ("http://172.20.1.2/v1", True),
        ("http://192.168.1.9:11434/v1", True),
        ("http://169.254.1.1/v1", True),
        ("http://100.64.0.7/v1", True),
        ("http://[fd00::5]/v1", True),
        ("http://ollama:11434/v1", True),
        ("http://gpu.local/v1", True),
        ("http://host.docker.internal:1234/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("http://[2606:4700::1]/v1", False),
        ("http://[::1/v1", False),
    ],
)
def test_what_is_nearby(address: str, nearby: bool) -> None:
    assert is_nearby(address) is nearby


@pytest.mark.parametrize(
    ("address", "no_proxy", "asked"),
    [
        ("http://models.example.com/v1", "", True),
        ("http://8.8.8.8/v1", "", True),
        ("http://127.0.0.1:8000/v1", "", False),
        ("http://10.1.2.3/v1", "", False),
        ("http://models.example.com/v1", "example.com", False),
        ("http://models.example.com/v1", ".example.com", False),
        ("http://models.example.com/v1", "*.example.com", False),
        ("http://models.example.com/v1", "other.org, models.example.com:80", True),
        ("http://models.example.com:80/v1", "models.example.com:80", False),
        ("http://models.example.com/v1", "ample.com", True),
        ("http://models.example.com/v1", "*", False),
        ("http://8.8.8.8/v1", "8.8.0.0/16", False),
        ("http://8.9.8.8/v1", "8.8.0.0/16", True),
    ],
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_asked_for_what_is_far_and_not_excepted(
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    address: str,
    no_proxy: str,
    asked: bool,
) -> None:
    monkeypatch.setenv(variable, PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = asyncio.run(proxy_for(address))
    assert (found is not None) is asked
    if found is not None:
        assert found.url == PROXY
        assert str(found) == (
            f"the proxy http://proxy.example.com:3128 ({variable.upper()})"
        )


def test_a_name_that_resolves_to_this_machine_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name of a private network, whatever it looks like."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)

    async def found() -> object:
        loop = asyncio.get_running_loop()

        async def resolve(
            host: str, *_: object, **__: object
        ) -> list[tuple[object, ...]]:
            return [
                (0, 0, 0, "", ({"gpu.acme.com": "10.1.1.1"}.get(host, "8.8.8.8"), 0))
            ]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        return [
            await proxy_for(f"https://{host}/v1") is None
            for host in ("gpu.acme.com", "api.acme.com")
        ]

    assert asyncio.run(found()) == [True, False]


def test_libraries_are_told_for_as_long_as_they_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "one.org")
    direct = DirectAddresses()
    direct.add(None)
    direct.add("http://models.example.com/v1")
    assert os.environ["NO_PROXY"] == "one.org"
    for _ in range(2):
        direct.add("http://10.0.0.5:8000/v1")
    assert os.environ["NO_PROXY"] == "one.org,10.0.0.5"
    assert os.environ["no_proxy"] == "10.0.0.5"
    direct.restore()
    assert os.environ["NO_PROXY"] == "one.org" and "no_proxy" not in os.environ
