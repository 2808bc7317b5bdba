"""Attacks that need more than one question, and many candidates one after another."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psutil
import pytest

from evolve.sandbox import CandidateFault, Reason, Session
from evolve.sandbox.contract import ask, opened
from evolve.sandbox.inside import wire
from tests.security.attacks.attack import PRELUDE
from tests.security.mixed import mixed
from tests.security.probe import Traces
from tests.security.test_attacks import PROVIDERS, SPEC, probe

PLACES = pytest.mark.parametrize(
    "place", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
)
_T = TypeVar("_T")


def talk(place: str, source: str, work: Callable[[Session], Awaitable[_T]]) -> _T:
    """Some work on one hostile candidate; the next one in the pool finds nothing."""

    async def run() -> _T:
        async with opened(PROVIDERS[place](SPEC)) as pool:
            async with pool.session() as session:
                await session.load(
                    {"candidate.py": (PRELUDE + source).encode()}, "candidate"
                )
                result = await work(session)
            assert await probe(pool) == Traces()
            return result

    return asyncio.run(run())


async def reason_of(work: Awaitable[object]) -> Reason:
    try:
        value = await work
    except CandidateFault as fault:
        return fault.reason
    raise AssertionError(f"it answered {value!r}")


@PLACES
def test_an_answer_given_before_the_question_is_refused(place: str) -> None:
    """Or a candidate could look as fast as light where time is the score."""

    async def work(session: Session) -> Reason:
        assert await ask(session, "answer", 1) == 1
        await asyncio.sleep(0.2)
        return await reason_of(ask(session, "answer", 2))

    assert (
        talk(
            place,
            """
def answer(x):
    def ahead():
        time.sleep(0.1)
        text = b'{"ok":true,"id":"' + question.id + b'"}'
        body = b"\\0\\0\\0\\1" + b"2"
        os.write(4, struct.pack(">II", len(text), len(body)) + text + body)
    question.id = question()["id"].encode()
    threading.Thread(target=ahead).start()
    return x
""",
            work,
        )
        is Reason.REFUSED
    )


@PLACES
def test_a_candidate_that_stops_listening_is_timed_out(place: str) -> None:
    async def work(session: Session) -> tuple[Reason, float]:
        await ask(session, "answer", b"")
        started = time.monotonic()
        reason = await reason_of(ask(session, "answer", bytes(20 << 20), timeout_s=0.5))
        return reason, time.monotonic() - started

    reason, seconds = talk(
        place,
        """
def answer(x):
    from evolve_inside import child
    speak = child.write_all
    def speak_and_sleep(stream, data):
        speak(stream, data)
        time.sleep(30)
    child.write_all = speak_and_sleep
""",
        work,
    )
    assert reason is Reason.TIMEOUT and seconds < 4


@PLACES
def test_replies_that_nobody_reads_do_not_fill_the_engine(place: str) -> None:
    async def work(session: Session) -> int:
        await ask(session, "answer")
        before = psutil.Process(os.getpid()).memory_info().rss
        await asyncio.sleep(1.5)
        return psutil.Process(os.getpid()).memory_info().rss - before

    assert (
        talk(
            place,
            """
def answer():
    def flood():
        while True:
            os.write(4, bytes(1 << 16))
    threading.Timer(0.2, flood).start()
""",
            work,
        )
        < 32 << 20
    )


@PLACES
def test_what_it_did_with_its_arguments_stays_with_it(place: str) -> None:
    given = [[1, 2], {"a": [3]}]

    async def work(session: Session) -> object:
        await ask(session, "answer", given)
        return await ask(session, "answer", given)

    assert talk(
        place,
        "def answer(x):\n    old = repr(x)\n    x[0].clear(); x[1].clear()\n"
        "    return old",
        work,
    ) == repr(given)


@PLACES
def test_time_is_measured_outside(place: str) -> None:
    source = """
def answer():
    wait = time.sleep
    time.perf_counter = time.time = time.monotonic = lambda: 0.0
    wait(0.4)
"""

    async def plain(session: Session) -> float:
        return (await session.call("answer", wire.encode(([], {})))).seconds

    assert 0.4 <= talk(place, source, plain) < 4


@pytest.mark.slow
@PLACES
def test_honest_scores_are_right_among_hostile_candidates(place: str) -> None:
    count = 2000
    done = asyncio.run(mixed(PROVIDERS[place](SPEC), count, seed=4))
    assert done.answers == {
        n: sum(i * n % 7 for i in range(1000)) for n in range(count) if n % 4 != 3
    }
    # only what left something behind, or ran out of memory, costs a box
    assert done.discarded <= count // 8
