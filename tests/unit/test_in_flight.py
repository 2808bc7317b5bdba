"""How many proposals are under way: enough for the workers; no more than workers where each is dear."""

from __future__ import annotations

from evolve.engine.concurrency import Pace


def under_way(pace: Pace) -> int:
    """How many are begun when none of them ends, nor is evaluated."""
    count = 0
    while pace.room(count, 0):
        count += 1
    return count


def test_cheap_proposals_are_decided_ahead() -> None:
    pace = Pace(2, 8)
    assert under_way(pace) == 10
    for _ in range(50):
        pace.proposed(0.1)
        pace.evaluated(10.0)
    assert under_way(pace) == 2 * 2 + 1  # the workers have enough to do


def test_dear_proposals_are_no_more_than_workers() -> None:
    for workers in (1, 2, 5):
        pace = Pace(workers, 8, dear=True)
        assert under_way(pace) == workers
        assert not pace.room(0, workers) and pace.room(0, workers - 1)
