"""The pace of requests, on a clock of its own."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.pace import LONGEST_WAIT_S, WINDOW_S, Pace


class Clock:
    """Time passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.integers(1, 5), st.lists(st.floats(0, 90), min_size=1, max_size=30))
def test_no_minute_has_more_than_its_share(limit: int, gaps: list[float]) -> None:
    clock = Clock()
    pace = Pace(limit, clock.read, clock.sleep)

    async def send() -> list[float]:
        sent = []
        for gap in gaps:
            clock.now += gap
            await pace.turn()
            sent.append(clock.now)
        return sent

    sent = asyncio.run(send())
    for first, later in zip(sent, sent[limit:], strict=False):
        assert later - first >= WINDOW_S - 1e-6


def test_a_pause_holds_all_but_not_for_ever() -> None:
    clock = Clock()
    pace = Pace(None, clock.read, clock.sleep)
    pace.pause(30)
    pace.pause(10)
    asyncio.run(pace.turn())
    assert clock.now == 1030.0
    pace.pause(1e9)
    asyncio.run(pace.turn())
    assert clock.now == 1030.0 + LONGEST_WAIT_S
