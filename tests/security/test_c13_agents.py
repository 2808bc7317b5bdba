"""Whatever an agent sends to its proxy, the engine's memory and descriptors don't grow.

480 connections with bodies of 4 MB took the engine from 75 MB to 2 GB; 1,440 connections were as
many descriptors of the engine, and an honest agent beside died of a raw `OSError`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from evolve.agents.front import CONNECTIONS, MAX_BODY, Refusal, read_request
from evolve.agents.front_process import Front
from evolve.agents.proxy import Proxy
from evolve.models import Episode
from evolve.sandbox import ProviderFault
from evolve.sandbox.time_limit import TimeLimit
from evolve.tasks import EpisodeResult
from tests.agent_model import AgentModel, serving_agents
from tests.episodes import WORK, desk, one_front, runner, with_limits
from tests.security.test_c08_log_regex import no_descriptors
from tests.security.watched import growth, watched_loop

PLACES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
HONEST = """
import json, os, urllib.request
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions",
    json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode(),
    {"Content-Type": "application/json"})
with urllib.request.urlopen(request) as response:
    open("x", "w").write(json.load(response)["choices"][0]["message"]["content"])
"""
HOLDS = """
import os, socket, time
def hold(n):
    held = []
    for _ in range(n):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(1)
        try:
            s.connect("/shared/proxy.sock")
            held.append(s)
            s.sendall(DATA)
        except OSError: pass
    return held
for _ in range(PROCESSES):
    if os.fork() == 0:
        held = hold(240); time.sleep(4); os._exit(0)
time.sleep(4)
"""
BODY = 'b"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 4194303\\r\\n\\r\\n" + b"x" * 4194000'
HEADERS = 'b"POST /v1/chat/completions HTTP/1.1\\r\\n" + b"a: b\\r\\n" * 700_000'
HANGS_UP = """
import json, socket, time
body = json.dumps({"messages": [{"role": "user", "content": "x" * 4_000_000}]}).encode()
end = time.monotonic() + 3.5
while time.monotonic() < end:
    s = socket.socket(socket.AF_UNIX); s.settimeout(1)
    try:
        s.connect("/shared/proxy.sock")
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    except OSError: pass
    s.close()
"""
SENT = {
    "sockets": (HOLDS.replace("PROCESSES", "6").replace("DATA", 'b""'), 1),
    "bodies": (HOLDS.replace("PROCESSES", "2").replace("DATA", BODY), 2),
    "headers": (HOLDS.replace("PROCESSES", "2").replace("DATA", HEADERS), 1),
    "hangs up": (HANGS_UP, 5),
}


@pytest.mark.parametrize(
    ("place", "what"),
    [
        *(("bubblewrap", what) for what in SENT),
        pytest.param("docker", "bodies", marks=pytest.mark.docker),
        *(
            pytest.param("docker", what, marks=(pytest.mark.docker, pytest.mark.slow))
            for what in SENT
            if what != "bodies"
        ),
    ],
)
def test_the_engine_does_not_grow(place: str, what: str, tmp_path: Path) -> None:
    """An honest agent beside is served; the limits of tokens keep long prompts from the model.

    Slow: what reaches the same reader outside of the sandbox from a container.
    """
    source, bodies = SENT[what]

    async def live() -> tuple[EpisodeResult, float]:
        with serving_agents(AgentModel(reply=lambda messages, seed: "yes")) as model:
            async with (
                desk(tmp_path / "desk", model.model) as open_desk,
                runner(place, open_desk.caller, with_limits(tokens=20_000), 2) as shop,
            ):

                async def work(name: str, text: str, pause_s: float) -> EpisodeResult:
                    await asyncio.sleep(pause_s)
                    episode, agent = Episode(name, 0), {"agent.py": text.encode()}
                    return await shop.episode(open_desk.proposal, episode, agent, WORK)

                await work("warm", HONEST, 0.0)
                with growth() as grown, watched_loop() as watch:
                    hostile = asyncio.create_task(work("one", source, 0.0))
                    honest = await work("two", HONEST, 1.5)
                    fronts = _fronts()
                    most = max(front.memory_info().rss for front in fronts) / 1e6
                    assert max(front.num_fds() for front in fronts) <= CONNECTIONS + 12
                    await hostile
                assert grown.megabytes < 40 and grown.descriptors < 20, grown
                assert watch.longest_s < 0.3
                return honest, most

    honest, front_megabytes = asyncio.run(live())
    assert honest.reason is None and honest.files["x"] == b"yes"
    assert front_megabytes < 60 + bodies * 30


def _fronts() -> list[psutil.Process]:
    children = psutil.Process().children()
    found = [
        child for child in children if any("front.py" in w for w in child.cmdline())
    ]
    assert found
    return found


@asynccontextmanager
async def a_proxy(
    folder: Path, **limits: object
) -> AsyncIterator[tuple[Proxy, AgentModel]]:
    """A proxy that listens at `folder / "sock"`, without a box."""
    with serving_agents(AgentModel(reply=lambda messages, seed: "yes")) as model:
        async with desk(folder, model.model) as open_desk, one_front() as front:
            proxy = Proxy(
                open_desk.caller,
                open_desk.proposal,
                Episode("case one", 0),
                with_limits(**limits),
                1000,
                TimeLimit(20.0),
            )
            async with proxy.serving(folder / "sock", front):
                yield proxy, model


async def exchange(folder: Path, data: bytes, wait_s: float = 5.0) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(folder / "sock"))
    try:
        writer.write(data)
        async with asyncio.timeout(wait_s):
            await writer.drain()
            return await reader.read(1 << 16)
    finally:
        writer.transport.abort()


def posted(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"Host: x", *headers]
    if not any(line.lower().startswith(b"transfer") for line in headers):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


CHAT = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (posted(CHAT), 200),
        (posted(CHAT) + posted(CHAT), 200),
        (posted(CHAT, b"Expect: 100-continue"), 200),
        (posted(b"[" * 1_000_000), 400),
        (posted(b'{"messages": [' + b"{}," * 1_000_000 + b"{}]}"), 400),
        (posted(b'{"max_tokens": ' + b"9" * 5000 + b"}"), 400),
        (posted(b"\xff\xfe" * 9), 400),
        (posted(b"x" * (MAX_BODY + 1)), 413),
        (posted(b"5\r\nhello\r\n", b"Transfer-Encoding: chunked"), 411),
        (b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /v1/other HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PUT /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ],
    ids=range(12),
)
def test_what_is_sent_is_answered_with_a_status(
    data: bytes, status: int, tmp_path: Path
) -> None:
    async def live() -> bytes:
        async with a_proxy(tmp_path):
            return await exchange(tmp_path, data)

    found = asyncio.run(live()).replace(b"HTTP/1.1 100 \r\n\r\n", b"")
    assert found.startswith(b"HTTP/1.1 %d " % status), found[:200]


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100_000,
        b"GET " + b"/" * 100_000,
        b"A: b\r\n" * 50_000,
        posted(CHAT)[:-1],
    ],
    ids=range(4),
)
def test_what_is_no_request_ends_its_connection_alone(
    data: bytes, tmp_path: Path
) -> None:
    async def live() -> bytes:
        async with a_proxy(tmp_path):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
            writer.write(data)
            writer.write_eof()
            with suppress(ConnectionResetError):  # what it sent was not read to the end
                assert await reader.read() == b""
            writer.close()
            return await exchange(tmp_path, posted(CHAT))

    assert asyncio.run(live()).startswith(b"HTTP/1.1 200 ")


def test_a_call_is_settled_though_the_agent_hangs_up(tmp_path: Path) -> None:
    async def live() -> tuple[int, int]:
        async with a_proxy(tmp_path, steps=3) as (proxy, model):
            for _ in range(8):
                with pytest.raises(TimeoutError):
                    await exchange(tmp_path, posted(CHAT), 0.0)
            await asyncio.sleep(1.0)
            return proxy.used.steps, model.calls

    steps, calls = asyncio.run(live())
    assert steps == calls <= 3


def test_what_is_asked_after_the_episode_costs_nothing(tmp_path: Path) -> None:
    """Requests wait for their turn when the box is closed: the first is settled, no other is made."""

    async def live() -> tuple[int, int]:
        async with a_proxy(tmp_path) as (proxy, model):
            writers = []
            for _ in range(4):
                _, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
                writer.write(posted(CHAT))
                writers.append(writer)
            while not proxy.used.steps:
                await asyncio.sleep(0)
        for writer in writers:
            writer.transport.abort()
        return proxy.used.steps, model.calls

    steps, calls = asyncio.run(live())
    assert steps == calls <= 3


def test_a_front_serves_one_box_after_another(tmp_path: Path) -> None:
    async def live() -> list[bool]:
        front, found = await Front.start(), []
        for number in range(3):
            path = tmp_path / f"sock{number}"
            await front.open(path)
            held = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTIONS)]
            for one in held:
                one.connect(str(path))
            await front.close_box()
            found.append(await front.question() is None)
            for one in held:
                one.close()
        await front.close()
        return found

    assert asyncio.run(live()) == [True] * 3


def test_a_lost_front_is_the_machines_fault(tmp_path: Path) -> None:
    async def live() -> None:
        async with a_proxy(tmp_path) as (proxy, _):
            (front,) = _fronts()
            front.kill()
            await proxy.broken.wait()

    with pytest.raises(ProviderFault, match="proxy is gone"):
        asyncio.run(live())


@pytest.mark.parametrize("place", PLACES)
def test_an_agent_without_descriptors_is_the_machines_fault(
    place: str, tmp_path: Path
) -> None:
    async def live() -> bytes:
        with serving_agents(AgentModel(reply=lambda messages, seed: "yes")) as model:
            async with (
                desk(tmp_path / "desk", model.model) as open_desk,
                runner(place, open_desk.caller, with_limits(), 1) as shop,
            ):
                agent = {"agent.py": HONEST.encode()}

                async def work(number: int) -> EpisodeResult:
                    episode = Episode("case one", number)
                    return await shop.episode(open_desk.proposal, episode, agent, WORK)

                with no_descriptors(), pytest.raises(ProviderFault):
                    await work(0)
                return (await work(1)).files["x"]

    assert asyncio.run(live()) == b"yes"


def test_reading_a_request_takes_time_in_proportion() -> None:
    pieces = ("[", "{}", '"a"', "9" * 4000 + ",", '{"a":', "1e9,", '"\\ud800",')

    def seconds(piece: str, length: int) -> float:
        before = time.thread_time()
        text = '{"messages": [' + piece * (length // len(piece))
        with pytest.raises(Refusal):
            read_request(text.encode())
        with pytest.raises(Refusal):
            read_request((text.rstrip(",") + "]}").encode())
        return time.thread_time() - before

    for piece in pieces:
        assert seconds(piece, MAX_BODY) < 16 * max(seconds(piece, MAX_BODY // 8), 0.01)
