"""One candidate's messages and packets don't keep the engine's event loop from its neighbours.

`repeatable` was quadratic: a forged message of 60 kB stopped the loop for 5 to 33 s, and honest
candidates beside it failed with "timeout" though they had answered.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evolve.evaluation.memory import wait_until_above
from evolve.sandbox import CandidateFault, Limits, ProviderFault, Reason, SandboxSpec
from evolve.sandbox.inside import wire
from evolve.sandbox.packets import PACKET, PacketStream
from evolve.sandbox.session import Session, repeatable
from evolve.sandbox.time_limit import TimeLimit
from tests.security.watched import HEAD, a_pool, watched_loop

PLACES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
SPEC = SandboxSpec(Limits(time_s=3.0))
HONEST = "import time\ndef answer():\n    time.sleep(1)\n    return 1\n"
FORGES = f"""{HEAD}
def answer():
    say(json.dumps({{"id": asked(), "ok": False, "error": "exception", "message": "a" * 60000}}).encode())
    time.sleep(20)
"""
# the forged reply is an answer, then bytes that nobody has asked for fill all buffers
TRICKLES = f"""{HEAD}
def answer():
    def trickle():
        time.sleep(0.5)
        while True:
            os.write(4, b"x")
    threading.Thread(target=trickle, daemon=True).start()
    return 1
def later():
    time.sleep(20)
"""
NESTED = "[" * 900 + "]" * 900


async def said(
    session: Session, function: str = "answer", time_s: float = 3.0
) -> object:
    try:
        reply = await session.call(function, wire.encode(([], {})), time_s)
    except CandidateFault as fault:
        return fault.reason
    return wire.decode(reply.payload)


@pytest.mark.parametrize("place", PLACES)
def test_a_forged_message_stops_nobody_else(place: str) -> None:
    async def one(pool: object, source: str, pause_s: float) -> object:
        async with pool.session() as session:  # type: ignore[attr-defined]
            await session.load({"main.py": source.encode()}, "main")
            await asyncio.sleep(pause_s)
            return await said(session)

    async def live() -> list[object]:
        pool = await a_pool(place, SPEC, 3)
        sources = ((HONEST, 0.0), (HONEST, 0.0), (FORGES, 0.3))
        try:
            return await asyncio.gather(*(one(pool, *source) for source in sources))
        finally:
            await pool.close()

    with watched_loop() as watch:
        assert asyncio.run(live()) == [1, 1, Reason.EXCEPTION]
    assert watch.longest_s < 0.3


@pytest.mark.parametrize("text", ["a", "/", "/candidate-1", "0x", "é", "\n"])
def test_what_is_taken_out_of_a_log_costs_time_in_proportion(text: str) -> None:
    def seconds(length: int) -> float:
        before = time.thread_time()
        repeatable(text * (length // len(text)))
        return time.thread_time() - before

    assert seconds(1_000_000) < 12 * max(seconds(200_000), 0.02)


def test_the_same_is_taken_out_as_before() -> None:
    told = 'File "/tmp/candidate-2000001/lib/a.py", at 0x7f00aa11bb22, /x/candidate-1/candidate-2/y'
    assert repeatable(told) == 'File "lib/a.py", at 0x..., y'
    assert (
        repeatable("/candidate-x/ candidate-1/ é/candidate-1/b")
        == "/candidate-x/ candidate-1/ b"
    )


@pytest.mark.parametrize("place", PLACES)
def test_bytes_that_nobody_asked_for_are_read_in_turns(place: str) -> None:
    """They come in packets of one byte, which fill the engine's buffer while nothing is asked."""

    async def live() -> object:
        pool = await a_pool(place, SPEC, 1)
        try:
            async with pool.session() as session:
                await session.load({"main.py": TRICKLES.encode()}, "main")
                assert await said(session) == 1
                await asyncio.sleep(1.5)
                return await said(session, "later", 1.0)
        finally:
            await pool.close()

    with watched_loop() as watch:
        assert asyncio.run(live()) in (Reason.REFUSED, Reason.TIMEOUT)
    assert watch.longest_s < 0.3


def test_a_full_buffer_of_tiny_packets_leaves_the_loop_to_others() -> None:
    async def read() -> int:
        reader = asyncio.StreamReader(limit=1 << 20)
        reader.feed_data((PACKET.pack(b"D", 1) + b"x") * 300_000)
        reader.feed_eof()
        stream, count = PacketStream(reader, None), 0  # type: ignore[arg-type]
        while await stream.receive():
            count += 1
        return count

    with watched_loop() as watch:
        assert asyncio.run(read()) == 300_000
    assert watch.longest_s < 0.1


CLAIMS = {
    "NaN": None,
    "1e999": None,
    "9" * 4000: None,
    '"many"': None,
    NESTED: None,
    "{}": None,
    "3": 3,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_claimed_exit_status_is_a_small_integer_or_nothing(place: str) -> None:
    async def live() -> dict[str, object]:
        pool, found = await a_pool(place, SPEC, 1), {}
        try:
            for claim in CLAIMS:
                async with pool.session() as session:
                    await session.load({"main.py": claiming(claim).encode()}, "main")
                    call = session.call("answer", wire.encode(([], {})), 3.0)
                    found[claim] = (await call).exit
        finally:
            await pool.close()
        return found

    assert asyncio.run(live()) == CLAIMS


def claiming(claim: str) -> str:
    """A program that forges the exit status of its answer."""
    return f"""{HEAD}
def answer():
    say(('{{"id": "' + asked() + '", "ok": true, "exit": {claim}}}').encode(), b"\\0\\0\\0\\1" + b"1")
    time.sleep(20)
"""


@pytest.mark.parametrize("place", PLACES)
def test_an_answer_that_came_while_the_loop_stood_still_is_read(place: str) -> None:
    async def live() -> list[object]:
        pool = await a_pool(place, SandboxSpec(Limits(time_s=1.0)), 1)
        try:
            async with pool.session() as session:
                await session.load(
                    {"main.py": HONEST.replace("(1)", "(.4)").encode()}, "main"
                )
                asyncio.get_running_loop().call_later(0.2, time.sleep, 1.5)
                found = [await said(session, time_s=1.0)]
            async with pool.session() as session:
                await session.load(
                    {"main.py": HONEST.replace("(1)", "(9)").encode()}, "main"
                )
                asyncio.get_running_loop().call_later(0.2, time.sleep, 1.5)
                return [*found, await said(session, time_s=1.0)]
        finally:
            await pool.close()

    assert asyncio.run(live()) == [1, Reason.TIMEOUT]


def test_a_loop_that_always_stands_still_ends_a_time_limit_too() -> None:
    async def stalls() -> float:
        limit = TimeLimit(1.0)
        limit.stalls = 98  # two more are left out
        with pytest.raises(TimeoutError):
            async with limit.running():
                while True:
                    time.sleep(0.6)
                    await asyncio.sleep(0)
        return limit.used_s

    began = time.monotonic()
    assert 1.0 <= asyncio.run(stalls()) < 3.0 and time.monotonic() - began < 6


@contextmanager
def no_descriptors() -> Iterator[None]:
    """The system refuses every further descriptor to this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)


@pytest.mark.parametrize("place", PLACES)
def test_too_many_open_files_are_the_machines_fault(place: str) -> None:
    """A box can't be started, or ended; afterwards the pool serves again."""

    async def live() -> object:
        pool = await a_pool(place, SPEC, 1)
        try:
            with (
                no_descriptors(),
                pytest.raises(ProviderFault, match=r"open files|Errno 24"),
            ):
                async with pool.session():
                    pass
            async with pool.session() as session:
                await session.load({"main.py": HONEST.encode()}, "main")
                with no_descriptors():
                    await session.end()
            async with pool.session() as session:
                await session.load({"main.py": HONEST.encode()}, "main")
                return await said(session)
        finally:
            await pool.close()

    assert asyncio.run(live()) == 1


def test_a_scorers_memory_is_watched_again_after_too_many_open_files() -> None:
    code = "import sys, time; x = bytearray(80 << 20); print(1, flush=True); time.sleep(60)"

    async def live() -> int | None:
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None and process.stdout.readline()
            with no_descriptors():
                watching = asyncio.create_task(wait_until_above(process, 40 << 20))
                await asyncio.sleep(0.3)
                assert not watching.done()
            try:
                return await asyncio.wait_for(watching, 10)
            finally:
                process.kill()

    assert (asyncio.run(live()) or 0) > 80 << 20
