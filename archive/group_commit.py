"""The one thread that owns the database: what waits together is committed together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, ParamSpec, TypeVar

from archive.errors import StorageFull
from archive.store import Archive

MOST = 64  # jobs of one transaction
LONGEST_PAUSE_S = 10.0
_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Job(NamedTuple):
    work: Callable[[], Any]
    done: Future[Any]
    secure: bool


class GroupCommit:
    """Carries out jobs in the order of their arrival, as many as wait in one transaction.

    A job's future is done once its transaction is committed. A full or locked disk is waited out, in
    order, for `patience_s`; `waiting` is told meanwhile, from this thread.
    """

    def __init__(self, archive: Archive, patience_s: float = 0.0,
                 waiting: Callable[[str], None] = lambda message: None) -> None:
        self._archive, self._patience_s, self._waiting = archive, patience_s, waiting
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="archive", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Queue a job: methods of the archive, reading or writing."""
        return self._put(lambda: work(*args, **kwargs), False)

    def secure(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Queue a job that is done when the disk has it: what was paid for."""
        return self._put(lambda: work(*args, **kwargs), True)

    def _put(self, work: Callable[[], _T], secure: bool) -> Future[_T]:
        done: Future[_T] = Future()
        self._jobs.put(_Job(work, done, secure))
        return done

    def close(self) -> None:
        """Carry out what was queued, then end; a full disk is waited for no longer."""
        self._closing.set()
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            jobs, last = self._take()
            if jobs:
                self._patiently(jobs)
            if last:
                return

    def _take(self) -> tuple[list[_Job], bool]:
        """What waits now and was not taken back; and whether it was the last."""
        jobs: list[_Job] = []
        found = self._jobs.get()
        while found is not None:
            if found.done.set_running_or_notify_cancel():  # from here on nobody can take it back
                jobs.append(found)
            if len(jobs) == MOST or self._jobs.empty():
                return jobs, False
            found = self._jobs.get()
        return jobs, True

    def _patiently(self, jobs: list[_Job]) -> None:
        pause, deadline = 0.25, time.monotonic() + self._patience_s
        while True:
            try:
                self._commit(jobs)
                return
            except StorageFull as error:
                if self._closing.is_set() or time.monotonic() + pause > deadline:
                    for job in jobs:
                        job.done.set_exception(error)
                    return
                self._waiting(f"{error.message}; trying again in {pause:g} s")
            self._closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _commit(self, jobs: list[_Job]) -> None:
        """All in one transaction; if one of them fails, each in its own. Raises `StorageFull`."""
        try:
            with self._archive.together(secure=any(job.secure for job in jobs)):
                results = [job.work() for job in jobs]
        except StorageFull:
            raise
        except Exception as error:  # noqa: BLE001 - handed to who asked, as executors do
            if len(jobs) == 1:
                jobs[0].done.set_exception(error)
                return
            while jobs:
                self._commit(jobs[:1])
                del jobs[:1]
            return
        for job, result in zip(jobs, results, strict=True):
            job.done.set_result(result)
