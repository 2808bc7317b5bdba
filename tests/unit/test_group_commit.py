"""What waits together is committed together; a fault of one is no fault of the others."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from archive import Archive, ArchiveError, GroupCommit, Proposal, State, StorageFull, derive_id


def proposal(number: int) -> Proposal:
    return Proposal(derive_id(1, number), number, State.PLANNED, "x", (), 0, 0.0)


class Gate:
    """Holds the thread until it is opened, so that jobs gather behind it."""

    def __init__(self, queue: GroupCommit) -> None:
        self._open, self._entered = threading.Event(), threading.Event()
        self.job = queue.submit(self._wait)
        assert self._entered.wait(10)

    def _wait(self) -> None:
        self._entered.set()
        self._open.wait(10)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "a.db", {})


def transactions(archive: Archive) -> list[int]:
    """Counts the transactions that are begun from now on."""
    from sqlalchemy import event

    begun: list[int] = []
    event.listen(archive._engine, "begin", lambda connection: begun.append(1))
    return begun


def test_jobs_that_wait_share_a_transaction_and_keep_their_order(archive: Archive) -> None:
    queue = GroupCommit(archive)
    gate, begun = Gate(queue), transactions(archive)
    jobs = [queue.submit(archive.plan, proposal(n)) for n in range(20)]
    gate.open()
    assert [job.result(10) for job in jobs] == list(range(1, 21))
    assert len(begun) == 1
    queue.close()


def test_one_that_fails_takes_nobody_with_it(archive: Archive) -> None:
    queue = GroupCommit(archive)
    gate = Gate(queue)
    good = [queue.submit(archive.plan, proposal(n)) for n in range(3)]
    bad: Future[int] = queue.submit(archive.plan, proposal(1))  # the number is taken
    last = queue.submit(archive.plan, proposal(3))
    gate.open()
    assert [job.result(10) for job in [*good, last]] and bad.exception(10) is not None
    assert [p.number for p in archive.proposals()] == [0, 1, 2, 3]
    queue.close()


def test_one_that_is_taken_back_in_time_is_not_done(archive: Archive) -> None:
    queue = GroupCommit(archive)
    gate = Gate(queue)
    first = queue.submit(archive.plan, proposal(0))
    assert first.cancel()
    gate.open()
    assert queue.submit(archive.plan, proposal(1)).result(10)
    assert [p.number for p in archive.proposals()] == [1]
    queue.close()


def test_a_full_disk_is_waited_out_in_order_and_told(archive: Archive) -> None:
    told: list[str] = []
    tries = iter([True, True, False])

    def full_at_first() -> str:
        if next(tries):
            raise StorageFull("no room")
        return "done"

    queue = GroupCommit(archive, 10.0, told.append)
    job, after = queue.submit(full_at_first), queue.submit(archive.plan, proposal(0))
    assert job.result(10) == "done" and after.result(10) and len(told) == 2
    queue.close()


def test_without_patience_it_is_an_error_at_once(archive: Archive) -> None:
    def full() -> None:
        raise StorageFull("no room")

    queue = GroupCommit(archive)
    with pytest.raises(ArchiveError, match="no room"):
        queue.submit(full).result(10)
    queue.close()
