"""The rate of requests, on a clock of its own."""

from __future__ import annotations

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st

from evolve.models.rate_limit import LONGEST_WAIT_S, WINDOW_S, Rate


class Clock:
    """Time passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


# where a minute later is, by rounding, not yet a minute
@example(1, [1.2130123636776948, 0.0, 0.0])
@given(st.integers(1, 5), st.lists(st.floats(0, 90), min_size=1, max_size=30))
def test_no_minute_has_more_than_its_share(limit: int, gaps: list[float]) -> None:
    clock = Clock()
    rate = Rate(limit, clock.read, clock.sleep)

    async def send() -> list[float]:
        sent = []
        for gap in gaps:
            clock.now += gap
            await rate.turn()
            sent.append(clock.now)
        return sent

    sent = asyncio.run(send())
    for first, later in zip(sent, sent[limit:], strict=False):
        assert later - first >= WINDOW_S - 1e-6


def test_a_request_waits_until_the_minute_is_over_and_no_longer() -> None:
    clock = Clock()
    clock.now = 0.0
    rate = Rate(2, clock.read, clock.sleep)
    left = []
    for gap in (0.0, 10.0, 10.0, 0.0, 0.0):
        clock.now += gap
        asyncio.run(rate.turn())
        left.append(clock.now)
    assert left == [0.0, 10.0, 60.0, 70.0, 120.0]


def test_a_pause_holds_all_but_not_for_ever() -> None:
    clock = Clock()
    rate = Rate(None, clock.read, clock.sleep)
    rate.pause(30)
    rate.pause(10)
    asyncio.run(rate.turn())
    assert clock.now == 1030.0
    rate.pause(1e9)
    asyncio.run(rate.turn())
    assert clock.now == 1030.0 + LONGEST_WAIT_S
