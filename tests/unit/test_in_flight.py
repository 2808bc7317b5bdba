"""How many proposals are under way: enough for the workers; no more than workers where each is expensive."""

from __future__ import annotations

from evolve.engine.concurrency import InFlightLimit


def under_way(pace: InFlightLimit) -> int:
    """How many are begun when none of them ends, nor is evaluated."""
    count = 0
    while pace.has_capacity(count, 0):
        count += 1
    return count


def test_cheap_proposals_are_decided_ahead() -> None:
    pace = InFlightLimit(2, 8)
    assert under_way(pace) == 10
    for _ in range(50):
        pace.proposed(0.1)
        pace.evaluated(10.0)
    assert under_way(pace) == 2 * 2 + 1  # the workers have enough to do


def test_expensive_proposals_are_no_more_than_workers() -> None:
    for workers in (1, 2, 5):
        pace = InFlightLimit(workers, 8, expensive=True)
        assert under_way(pace) == workers
        assert not pace.has_capacity(0, workers) and pace.has_capacity(0, workers - 1)
