"""Random and mutated replies, headers and frames: nothing keeps the event loop, or fills the engine."""

import asyncio
import gc
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from evolve.agents.flags import flags_in_reply
from evolve.agents.front import Refusal, read_request
from evolve.agents.front_process import _unpacked
from evolve.archive import Evaluation
from evolve.evaluation.evaluator import _with_result
from evolve.operators import Rejected
from evolve.operators.changing import change
from evolve.operators.checks import wrong_with
from evolve.operators.context import Reply
from evolve.operators.edits import apply_aside, first_words
from evolve.operators.reflect import new_text
from evolve.operators.syntactic import mutate
from evolve.peers.shared import _read
from evolve.sandbox import (
    CandidateFault,
    Limits,
    ProviderFault,
    SandboxError,
    Session,
    aside,
)
from evolve.sandbox.aside import run_aside
from evolve.sandbox.claims import read_files, read_output, read_small
from evolve.sandbox.inside import wire
from evolve.sandbox.packets import PACKET, PacketStream
from evolve.sandbox.provider import Box
from evolve.sandbox.session import check_tree, repeatable
from evolve.tasks import Editable
from evolve.text import one_line, visible
from tests.security.watched import growth, watched_loop

MOST_S, MOST_MEGABYTES = 0.1, 50
REPLIES = (
    "main.py\n```python\nx = 1\ndef f(a):\n    return [a, 2.5e3, 'x']\n```\n",
    "<think>\nno\n</think>\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n",
    "```diff\n--- a/main.py\n+++ b/main.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n```\nDELETE lib/a.py\n",
    '# EVOLVE-BLOCK-START\n# ... rest of the code\n# EVOLVE-BLOCK-END\n"""\\"\'\'\'/* */\n',
    "<new_text>\nuse {files} and {{ name }}\n</new_text>\n```bash\ncurl -x http://a.b /proc\n```\n",
)
HEADERS = (
    '{"id": "ID", "ok": true, "exit": 0}',
    '{"id": "ID", "ok": false, "error": "exception", "message": "/tmp/candidate-1/a 0x123456789a", "traceback": "a\\nb"}',
    '{"id": [{"a": null}], "ok": 1e999, "exit": -1}',
)
VALUES: tuple[Any, ...] = (
    [["a.py", b"x = 1"], ["lib/b.py", b""]],
    (b"out", b"error"),
    {"score": 1.5, "metrics": {"a": 1, "b": [1, 2.5, None]}, "feedback": "good"},
    [1, -2.5, True, None, "é", {"k": (1, 2)}, {5: 6}],
)
REQUESTS = (
    '{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "temperature": 0.5}',
    '{"score": 1.0, "metrics": {"x": 1}, "feedback": "ok"}',
)
BITS = (
    *(
        "[",
        "]",
        "{",
        "}",
        '"',
        "\\",
        "\n",
        "```",
        "'''",
        "\0",
        "\ud800",
        "\u202e",
        "é",
        " ",
        "\t",
    ),
    *(
        "=======",
        "<<<<<<< SEARCH",
        ">>>>>>> REPLACE",
        "@@ -1 +1 @@",
        "<think>",
        "</think>",
        "9" * 90,
    ),
    *(
        "1e999",
        "NaN",
        '{"$d":[[1,2]]}',
        '{"$b":9}',
        '{"$a":["<f8",[2]]}',
        '"$t"',
        "/candidate-1/",
        "0x",
    ),
    *(
        "../",
        ".git/",
        "main.py\n",
        "(",
        ":",
        "lambda:",
        "if 0:\n ",
        "# ...",
        "DELETE ",
        "EVOLVE-BLOCK-START",
    ),
)
EDITABLE = Editable(("main.py", "lib/*.py"))
SEED = {"main.py": b"x = 1\ndef f(a):\n    return a\n", "lib/a.py": b"y = 1\n" * 200}
ROW = Evaluation("main", "search", 0, None)
LIMITS = Limits(message_bytes=1 << 22)


def mutated(text: str, draw: random.Random) -> str:
    """A text with some changes; one in eight is long."""
    for _ in range(draw.randint(0, 6)):
        at = draw.randint(0, len(text))
        to = min(len(text), at + draw.randint(0, 40))
        kind = draw.randint(0, 4)
        if kind == 0:
            text = text[:at] + text[to:]
        elif kind == 1:
            text = (
                text[:at] + draw.choice(BITS) * draw.choice((1, 1, 3, 200)) + text[at:]
            )
        elif kind == 2:
            text = text[:at] + text[at:to] * draw.choice((2, 5, 300)) + text[to:]
        elif kind == 3:
            text = (
                text[:at]
                + chr(draw.choice((0, 10, 34, 0x300, 0x202E, 0x1F600)))
                + text[to:]
            )
        else:
            text = text + draw.choice(BITS)
    if draw.random() < 0.125:
        text *= draw.randint(2, 200_000 // (len(text) + 1) + 2)
    return text[:400_000]


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """The same for bytes; lengths are changed too."""
    found = bytearray(mutated(data.decode("latin-1"), draw).encode("utf-8", "replace"))
    for _ in range(draw.randint(0, 3)):
        if found:
            found[draw.randrange(len(found))] = draw.randrange(256)
    return bytes(found)


class Paired(Box):
    """A box of which the other end is played by this test."""

    @classmethod
    async def make(cls) -> tuple["Paired", socket.socket]:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        box = cls()
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        box.packets = PacketStream(reader, writer)
        return box, theirs

    async def kill(self) -> None:
        self.packets.close()

    async def explain_death(self) -> SandboxError:
        return ProviderFault("it is gone")


async def one_exchange(draw: random.Random) -> None:
    """A candidate that answers with mutated frames, in packets of random sizes."""
    box, theirs = await Paired.make()
    session = Session(box, LIMITS)

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        asked = await loop.sock_recv(theirs, 1 << 16)
        name = asked.partition(b'"id":"')[2][:16].decode("latin-1")
        header = draw.choice(HEADERS)
        if draw.random() < 0.5:
            header = mutated(header, draw)[:60_000]
        header = header.replace("ID", name)
        text = header.encode("utf-8", "replace")
        payload = mutated_bytes(wire.encode(draw.choice(VALUES)), draw)
        sizes = [len(text), len(payload)]
        if draw.random() < 0.2:
            sizes[draw.randrange(2)] = draw.choice((0, 1, 2**16, 2**31, 2**32 - 1))
        data = struct.pack(">II", *sizes) + text + payload
        size = draw.choice((1, 7, 1000, 1 << 16)) if len(data) < 3000 else 1 << 16
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            await loop.sock_sendall(theirs, PACKET.pack(b"D", len(piece)) + piece)
        log = mutated(REPLIES[0], draw).encode("utf-8", "replace")[: 1 << 20]
        await loop.sock_sendall(theirs, PACKET.pack(b"L", len(log)) + log)
        facts = json.dumps(
            {"exit": draw.choice((0, 1, -9, -64)), "clean": True}
        ).encode()
        await loop.sock_sendall(theirs, PACKET.pack(b"E", len(facts)) + facts)

    answering = asyncio.create_task(answer())
    try:
        reply = await session.call("answer", wire.encode(([], {})), 5.0)
        await read_claims(reply.payload)
    except (CandidateFault, ProviderFault):
        pass
    finally:
        await session.end()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        await box.kill()
        theirs.close()


async def read_claims(payload: bytes) -> None:
    for read in (read_small, read_output):
        with suppress(CandidateFault):
            read(payload)
        await asyncio.sleep(0)
    with suppress(CandidateFault):
        check_tree(await read_files(payload, 5000), LIMITS)


async def one_claim(draw: random.Random) -> None:
    payload = mutated_bytes(wire.encode(draw.choice(VALUES)), draw)
    await read_claims(payload)
    with suppress(wire.Malformed):
        _with_result(ROW, payload)
    await asyncio.sleep(0)
    _read(ROW, 0, mutated_bytes(REQUESTS[1].encode(), draw), payload)


async def one_header(draw: random.Random) -> None:
    text = mutated(draw.choice(HEADERS), draw).encode("utf-8", "replace")[: 1 << 16]
    with suppress(wire.Malformed):
        header = wire.parse_header(text)
        with suppress(KeyError, TypeError, ValueError):
            _unpacked(header, text)
    await asyncio.sleep(0)
    body = mutated(draw.choice(REQUESTS), draw).encode("utf-8", "replace")
    with suppress(Refusal):
        read_request(body)


async def one_reply(draw: random.Random) -> None:
    text = mutated("".join(draw.choices(REPLIES, k=draw.randint(1, 4))), draw)
    try:
        found = await apply_aside(text, SEED, EDITABLE, whole=draw.random() < 0.5)
    except Rejected:
        found = {"main.py": text.encode("utf-8", "replace")}
    content = found.get("main.py", b"")
    await asyncio.sleep(0)
    with suppress(CandidateFault):
        await run_aside(wrong_with, "main.py", content, b"x = 1\n", size=len(content))
    with suppress(Rejected):
        program = {"main.py": content}
        await change(mutate, program, 0.3, _generator(draw), files=program)
    await asyncio.sleep(0)
    first_words(text)
    list(flags_in_reply(text))
    await asyncio.sleep(0)
    with suppress(Rejected):
        new_text(Reply(text), "{files}")
    repeatable(visible(text[:200_000]))
    one_line(text)


def _generator(draw: random.Random) -> Any:
    import numpy as np

    return np.random.default_rng(draw.getrandbits(32))


KINDS: tuple[Callable[[random.Random], Awaitable[None]], ...] = (
    one_exchange,
    one_claim,
    one_header,
    one_reply,
)


@pytest.mark.parametrize(
    "count",
    [800, pytest.param(10_000, marks=pytest.mark.slow)],
    ids=["short", "whole"],
)
def test_no_callback_takes_long_and_the_engine_does_not_grow(count: int) -> None:
    async def live() -> None:
        for number in range(count):
            draw = random.Random(number)
            before = watch.longest_s
            await KINDS[number % len(KINDS)](draw)
            if watch.longest_s > before:
                slowest[0] = number

    slowest = [0]
    with watched_loop() as watch:
        asyncio.run(_warm())
        gc.collect()
        gc.freeze()  # what other tests left is not collected in a callback of this one
        watch.longest_s = 0.0
        with growth() as grown:
            asyncio.run(live())
    gc.unfreeze()
    aside.close()
    assert watch.longest_s < MOST_S, slowest
    assert grown.megabytes < MOST_MEGABYTES


async def _warm() -> None:
    """What is imported at the first use is no cost of a text."""
    for number in range(40):
        await KINDS[number % len(KINDS)](random.Random(-1 - number))
