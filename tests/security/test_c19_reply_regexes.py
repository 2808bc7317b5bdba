"""Texts of models and candidates are searched in time in proportion to their length.

1,600 empty lines in a model's reply took 9 s (`_LEFT_OUT` was cubic), which happens by accident.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from evolve.agents.flags import flags_aside, flags_of_reply, flags_of_tree
from evolve.archive import Evaluation, measure_rows
from evolve.engine.recorder import _measures_of
from evolve.models import ModelError, TokenEmbedder
from evolve.models.compatible import CompatibleServer
from evolve.models.endpoints import ENDPOINTS
from evolve.models.names import parse_model
from evolve.operators import Rejected
from evolve.operators.changing import change
from evolve.operators.checks import wrong_with
from evolve.operators.context import _one_hunk, changed_lines
from evolve.operators.edits import apply_aside, apply_reply
from evolve.operators.edits.apply import MAX_REPLY
from evolve.operators.recombine import cross
from evolve.operators.syntactic import mutate
from evolve.sandbox import aside
from evolve.sandbox.aside import run_aside
from evolve.tasks import Editable
from tests.security.patterns import LISTED, all_patterns, bad_texts
from tests.security.watched import growth, watched_loop

# a cubic pattern is seen at the first length, a quadratic one at the second
SHORT = (512, 4096)
# the slowest of one length are tried with the next one
LONGER = ((65_536, 6), (1_000_000, 2))
SECONDS_PER_SIGN, BESIDE_S = 2.5e-6, 0.01
FOUND = list(all_patterns())


def seconds(pattern: re.Pattern[Any], uses: Collection[str], text: Any) -> float:
    """CPU time of the ways in which a pattern is used on a text."""
    before = time.thread_time()
    for use in uses:
        if use in ("match", "fullmatch", "search"):
            getattr(pattern, use)(text)
        else:  # all matches, one after another
            for _ in pattern.finditer(text):
                pass
    return time.thread_time() - before


def bound(length: int) -> float:
    return BESIDE_S + SECONDS_PER_SIGN * length


@pytest.mark.parametrize(
    "number", range(len(FOUND)), ids=[found.key for found in FOUND]
)
def test_every_pattern_takes_time_in_proportion(number: int) -> None:
    _, pattern, uses = FOUND[number]
    text_of = (
        (lambda t: t.encode()) if isinstance(pattern.pattern, bytes) else (lambda t: t)
    )
    units: dict[str, float] = {}
    for length in SHORT:
        for unit in bad_texts(pattern, length, LISTED.get(FOUND[number].key, ())):
            taken = seconds(pattern, uses, text_of(unit))
            assert taken < bound(length), (length, unit[:40], taken)
            units[unit] = taken if length == SHORT[-1] else 0.0
    for length, count in LONGER:
        slowest = sorted(units, key=units.__getitem__)[-count:]
        units.clear()
        for unit in slowest:
            text = text_of((unit * (length // len(unit) + 1))[:length])
            units[unit] = seconds(pattern, uses, text)
            assert units[unit] < bound(length), (length, unit[:40], units[unit])


def test_every_pattern_is_listed() -> None:
    """Whoever writes one thinks of the text that is worst for it, and writes it beside it."""
    assert sorted(found.key for found in FOUND) == sorted(LISTED)


EDITABLE = Editable(("main.py", "lib/*.py"))
SEED = {
    "main.py": b"# EVOLVE-BLOCK-START\nx = 1\ndef f():\n    return 2\n# EVOLVE-BLOCK-END\n",
    "lib/a.py": b"y = 1\n" * 3000,
    "data.bin": bytes(range(256)) * 100,
}
BLOCK = "<<<<<<< SEARCH\n{}\n=======\nz\n>>>>>>> REPLACE\n"
REPLIES = {
    "empty lines": "```python\n" + "\n" * 900_000 + "```\n",
    "dividers": "<<<<<<< SEARCH\n" + "=======\n" * 100_000 + ">>>>>>> REPLACE\n",
    "some dividers": "<<<<<<< SEARCH\n"
    + ("x\n" * 9000 + "=======\n") * 12
    + ">>>>>>> REPLACE\n",
    "fences in a block": "```\n<<<<<<< SEARCH\nx\n=======\n" + "```\n" * 200_000,
    "lines in a block": "<<<<<<< SEARCH\n" + "\n" * 900_000,
    "many blocks": "lib/a.py\n" + BLOCK.format("y = 2") * 15_000,
    "many matches": "lib/a.py\n" + BLOCK.format("y = 1") * 15_000,
    "nearly matches": "lib/a.py\n" + BLOCK.format("y = 1\n" * 2999 + "y = 2"),
    "indented": "lib/a.py\n" + BLOCK.format(" y = 1\n" * 1500),
    "one long line": "main.py\n" + BLOCK.format("x" * 900_000),
    "code blocks": "```\nq\n```\n" * 90_000,
    "named blocks": "lib/b.py\n```python\nq = 1\n```\n" * 25_000,
    "a line of names": "`" + "lib/c.py " * 100_000 + "\n```\nq\n```\n",
    "deep code": "main.py\n```python\n" + "(" * 500_000 + "\n```\n",
    "long code": "main.py\n```python\n" + "x = [1, 2, f(3)]\n" * 25_000 + "```\n",
    "nested if": "main.py\n```python\n" + "elif 0:\n 1\n" * 80_000 + "```\n",
    "thoughts": "<think>\n" * 120_000,
    "closed thoughts": "<think>\n</thinking>\n" * 50_000,
    "deleted": "DELETE lib/a.py\n" * 60_000,
    "hunks": "```diff\n--- a/lib/a.py\n+++ b/lib/a.py\n"
    + "@@ -1 +1 @@\n-y = 2\n+z\n" * 40_000
    + "```\n",
    "signs": "```diff\n" + "+\n-\n" * 200_000 + "```\n",
    "accents": "e\u0301\u0323" * 200_000,
    "no end": "x" * (MAX_REPLY + 1),
    "bare code": "x = 1\n" * 80_000 + "it's prose\n" * 20_000,
    "half functions": "def f(\n" * 90_000,
    "open strings": "```python\n'''\n```\n" * 60_000,
    "escaped": "```python\n" + "x = 1 &lt; 2\n" * 60_000 + "```\n",
    "numbered": "```python\n"
    + "".join(f"{k}: x = {k}\n" for k in range(1, 40_000))
    + "```\n",
    "dots": "lib/a.py\n" + BLOCK.format("y = 1\n...\n" * 40_000),
    "comments": "lib/a.py\n" + BLOCK.format("y = 1  # 'so'\n" * 2999 + "z"),
    "brackets": "[" * 900_000,
    "objects": '{"a": [' + '{"code": "x\\n"},' * 40_000 + "0]}",
    "labels": "Before:\n```\ny = 1\n```\nAfter:\n```\nz\n```\n" * 15_000,
}


# those whose text is meant for whole files; the others are edits
WHOLE = {
    "empty lines",
    "code blocks",
    "named blocks",
    "a line of names",
    "deep code",
    "long code",
    "nested if",
    "thoughts",
    "closed thoughts",
    "accents",
    "bare code",
    "half functions",
    "open strings",
    "escaped",
    "numbered",
}


@pytest.mark.parametrize("what", REPLIES)
@pytest.mark.parametrize("fits", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_large_reply_is_applied_beside_the_loop(what: str, fits: bool) -> None:
    """Slow: in the mode that it is not meant for, which finds less in it."""
    whole = (what in WHOLE) is fits

    async def live() -> object:
        try:
            return await apply_aside(REPLIES[what], SEED, EDITABLE, whole=whole)
        except Rejected as why:
            return why

    began = time.monotonic()
    with growth() as grown, watched_loop() as watch:
        found = asyncio.run(live())
    assert isinstance(found, Rejected) or set(found) >= {"main.py", "data.bin"}  # type: ignore[call-overload]
    assert watch.longest_s < 0.1 and grown.megabytes < 50
    assert time.monotonic() - began < aside.TIME_S + 5


def test_a_large_reply_gives_the_same_child() -> None:
    new = "".join(f"y = {k}\n" for k in range(3000))
    replies = (
        f"lib/a.py\n```python\n{new}```\n\nlib/b.py\n```python\nq = 1\n```\n",
        "main.py\n"
        + BLOCK.format("    return 2").replace("z", "    return 3")
        + " " * 30_000,
        "DELETE lib/a.py\n" + BLOCK.format("x = 1") + " " * 30_000,
    )
    for reply in replies:
        direct = apply_reply(reply, SEED, EDITABLE, whole="```" in reply)
        assert direct == asyncio.run(
            apply_aside(reply, SEED, EDITABLE, whole="```" in reply)
        )
    assert not aside._workers.idle or aside._workers.threads is not None
    aside.close()


HOSTILE_PROGRAMS = {
    "a number": f"def f():\n    return {'9' * 4000}\n",
    "a float": "def f():\n    return 1e308\n",
    "nested": "def f():\n    return " + "[" * 90 + "1" + "]" * 90 + "\n",
    "a sum": "def f():\n    return " + "1 + " * 900 + "1\n",
    "long": "def f():\n" + "    x = 1\n" * 2_500,
    "numbers": "def f():\n    return [" + "1, " * 8_000 + "]\n",
    "empty": "\n",
}


LARGE_ONES = ("long", "numbers")
SMALL_ONES = [name for name in HOSTILE_PROGRAMS if name not in LARGE_ONES]
PAIRS = [*product(SMALL_ONES, SMALL_ONES), *zip(LARGE_ONES, LARGE_ONES, strict=True)]


@cache
def imported() -> None:
    """Import what the operators import at their first use, which is not what is measured."""
    program = {"main.py": b"def f():\n    return 1 + 2\n"}

    async def live() -> None:
        rng = np.random.default_rng(0)
        for made in (
            change(mutate, program, 0.3, rng, files=program),
            change(cross, program, program, "abc", rng, files=program),
        ):
            with suppress(Rejected):
                await made

    asyncio.run(live())


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_operators_without_a_model_survive_hostile_parents(
    first: str, second: str
) -> None:
    editable = {"main.py": HOSTILE_PROGRAMS[first].encode()}
    mate = {"main.py": HOSTILE_PROGRAMS[second].encode()}
    imported()

    async def live() -> None:
        for seed in range(1 if first in LARGE_ONES else 3):
            rng = np.random.default_rng(seed)
            for made in (
                change(mutate, editable, 0.3, rng, files=editable),
                change(
                    mutate, {"a.c": b"x = " + b"9" * 5000}, 0.3, rng, files=editable
                ),
                change(cross, editable, mate, "abc", rng, files=editable),
            ):
                with suppress(Rejected):
                    assert (await made).path in ("main.py", "a.c")

    with watched_loop() as watch:
        asyncio.run(live())
    assert watch.longest_s < 0.3


def test_a_huge_program_is_checked_and_measured_beside_the_loop() -> None:
    program = b"x = [1, 2, f(3)]\n" * 60_000
    strings = b'\\"""' * 100_000

    async def live() -> list[object]:
        return [
            await run_aside(wrong_with, "main.py", program, b"", size=len(program)),
            (await TokenEmbedder().vector(None, {"main.py": strings})).shape,  # type: ignore[arg-type]
            (await _measures_of({"main.py": strings}))["complexity"],
        ]

    with watched_loop() as watch:
        assert asyncio.run(live()) == [None, (256,), 1.0]
    assert watch.longest_s < 0.1
    aside.close()


def test_a_difference_for_prompts_takes_bounded_time() -> None:
    old = "".join(f"{k % 9}\n" for k in range(20_000))
    new = "".join(f"{k % 7}\n" for k in range(20_000))
    pairs = [
        (old, new),
        ("a\nb\n" * 900, "b\na\n" * 900),
        (old, old + "z\n"),
        ("", new),
    ]
    before = time.thread_time()
    for left, right in pairs:
        assert changed_lines("main.py", left.encode(), right.encode())
    assert time.thread_time() - before < 2.0
    same = ("a\nb\nc\n", "a\nx\nc\n")
    assert _one_hunk("m", *(text.split() for text in same)) == (
        "--- m", "+++ m", "@@ -2,1 +2,1 @@", "-b", "+x",
    )  # fmt: skip


def test_a_metric_that_no_float_holds_is_left_out_of_the_measures() -> None:
    row = Evaluation(
        "main", "search", 0, 1.0, metrics={"x": 10**400, "y": 2, "z": float("nan")}
    )
    assert measure_rows([row]) == {"y": 2.0, "runtime": 0.0}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 500_000, "is not JSON"),
        (b'{"choices": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b'{"choices": [' + b'{"a": []},' * 50_000 + b"0]}", None),
        (b'"' + b"x" * (12 << 20) + b'"', "more than 8,388,608 bytes"),
    ],
    ids=range(4),
)
def test_an_answer_of_a_model_server_is_bounded(
    body: bytes, message: str | None
) -> None:
    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=none\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async def live() -> None:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        own = ENDPOINTS["hosted_vllm"]
        server = CompatibleServer(f"http://127.0.0.1:{port}/v1", own)
        try:
            if message is None:
                assert await server.post(
                    "chat/completions", parse_model("hosted_vllm/x"), {}
                )
            else:
                with pytest.raises(ModelError, match=message):
                    await server.post(
                        "chat/completions", parse_model("hosted_vllm/x"), {}
                    )
        finally:
            await server.close()
            listening.close()

    with growth() as grown, watched_loop() as watch:
        asyncio.run(live())
    assert watch.longest_s < 0.5 and grown.megabytes < 120


def test_flags_of_a_large_agent_are_searched_beside_the_loop() -> None:
    files = {f"{k}.py": b"x = a.b(c)\n" * 60_000 + b"curl -x\n" for k in range(3)}
    reply = "```bash\n" + "git x " * 150_000 + "\nnohup a\n```\n"

    async def live() -> list[set[str]]:
        found = await flags_aside(flags_of_tree, {"0.py": b""}, files, size=1 << 20)
        said = await flags_aside(flags_of_reply, reply, size=len(reply))
        small = await flags_aside(flags_of_reply, reply[-30:], size=30)
        return [{flag.kind for flag in flags} for flags in (found, said, small)]

    with watched_loop() as watch:
        assert asyncio.run(live()) == [{"network"}, {"left running"}, set()]
    assert watch.longest_s < 0.1
    aside.close()


def test_a_rejection_quotes_little_of_a_reply() -> None:
    reply = f"DELETE {'a' * 900_000}.py\n"
    with pytest.raises(Rejected) as why:
        asyncio.run(apply_aside(reply, SEED, EDITABLE, whole=True))
    assert len(why.value.message) <= 4000
