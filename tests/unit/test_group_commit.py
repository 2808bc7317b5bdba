"""What waits together is committed together; a fault of one is no fault of the others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from evolve.archive import (
    Archive,
    ArchiveError,
    GroupCommit,
    Proposal,
    State,
    StorageFull,
    database,
    derive_id,
)
from evolve.archive.database import driver_of

Work = Callable[[GroupCommit], Awaitable[None]]


def proposal(number: int) -> Proposal:
    return Proposal(derive_id(1, number), number, State.PLANNED, "x", (), 0, 0.0)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "a.db", {})


def with_queue(
    archive: Archive,
    work: Work,
    patience_s: float = 0.0,
    told: Callable[[str], None] = lambda message: None,
) -> None:
    async def attended() -> None:
        queue = GroupCommit(archive, patience_s, told)
        try:
            await work(queue)
        finally:
            await queue.close()

    asyncio.run(attended())


def numbers(archive: Archive) -> list[int]:
    return [p.number for p in archive.proposals()]


def test_jobs_that_wait_share_a_transaction_and_keep_their_order(
    archive: Archive,
) -> None:
    executed: list[str] = []
    driver_of(archive._connection()).set_trace_callback(executed.append)

    async def work(queue: GroupCommit) -> None:
        jobs = [queue.submit(archive.plan, proposal(n)) for n in range(20)]
        assert await asyncio.gather(*jobs) == list(range(1, 21))

    with_queue(archive, work)
    assert executed.count("BEGIN IMMEDIATE") == 1


def test_one_that_fails_takes_nobody_with_it(archive: Archive) -> None:
    async def work(queue: GroupCommit) -> None:
        good = [queue.submit(archive.plan, proposal(n)) for n in range(3)]
        bad = queue.submit(archive.plan, proposal(1))  # the number is taken
        last = queue.submit(archive.plan, proposal(3))
        assert await asyncio.gather(*good, last)
        with pytest.raises(Exception, match="UNIQUE"):
            await bad

    with_queue(archive, work)
    assert numbers(archive) == [0, 1, 2, 3]


def test_one_that_is_taken_back_in_time_is_not_done(archive: Archive) -> None:
    async def work(queue: GroupCommit) -> None:
        assert queue.submit(archive.plan, proposal(0)).cancel()
        assert await queue.submit(archive.plan, proposal(1))

    with_queue(archive, work)
    assert numbers(archive) == [1]


def test_a_full_disk_is_waited_out_in_order_and_told(archive: Archive) -> None:
    told: list[str] = []
    tries = iter([True, True, False])

    def full_at_first() -> str:
        if next(tries):
            raise StorageFull("no room")
        return "done"

    async def work(queue: GroupCommit) -> None:
        job, after = (
            queue.submit(full_at_first),
            queue.submit(archive.plan, proposal(0)),
        )
        await asyncio.sleep(0.1)
        late = queue.submit(archive.plan, proposal(1))
        assert await job == "done" and await after < await late and len(told) == 2

    with_queue(archive, work, 10.0, told.append)


def test_a_database_that_another_process_holds_is_waited_out(archive: Archive) -> None:
    told: list[str] = []

    async def work(queue: GroupCommit) -> None:
        other = sqlite3.connect(archive.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        job = queue.submit(archive.plan, proposal(0))
        await asyncio.sleep(0.3)
        assert not job.done() and "locked" in told[0]
        other.execute("ROLLBACK")
        assert await job
        other.close()

    with_queue(archive, work, 10.0, told.append)


def test_without_patience_it_is_an_error_at_once(archive: Archive) -> None:
    def full() -> None:
        raise StorageFull("no room")

    async def work(queue: GroupCommit) -> None:
        with pytest.raises(ArchiveError, match="no room"):
            await queue.submit(full)

    with_queue(archive, work)


def test_what_was_paid_for_waits_for_the_disk(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[list[int]] = []
    monkeypatch.setattr(
        database.os, "fdatasync", lambda _: synced.append(numbers(archive))
    )

    async def work(queue: GroupCommit) -> None:
        await queue.submit(archive.plan, proposal(0))
        assert not synced, "what is free does not wait"
        await queue.secure(archive.plan, proposal(1))
        assert synced == [[0, 1]], "committed first, then brought to the disk"

    with_queue(archive, work)


def test_closing_carries_out_what_was_queued(archive: Archive) -> None:
    async def work(queue: GroupCommit) -> None:
        queue.submit(archive.plan, proposal(0))
        queue.secure(archive.plan, proposal(1))

    with_queue(archive, work)
    assert numbers(archive) == [0, 1]
