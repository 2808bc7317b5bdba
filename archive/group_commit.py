"""Group commit: writes that are requested together are committed together.

Everything happens on the event loop. A separate thread for the database gains nothing:
SQLite releases the interpreter lock at each step, and taking it again costs more than
the step. Only waiting for the disk happens in a thread.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from evolve.archive.errors import StorageFull
from evolve.archive.store import Archive

GATHER_S = 0.002  # time to collect jobs before they are carried out
LONGEST_PAUSE_S = 10.0
_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Job(NamedTuple):
    work: Callable[[], Any]
    done: asyncio.Future[Any]
    secure: bool


class GroupCommit:
    """Runs jobs in the order of their arrival; all that wait share one transaction.

    A job's future is done once its transaction is committed. A full or locked disk is
    retried, in order. Used from one event loop.

    Args:
        archive: The archive that the jobs write.
        patience_s: How long to retry while the disk is full or locked, in seconds.
        waiting: Called with a message before each retry.
    """

    def __init__(
        self,
        archive: Archive,
        patience_s: float = 0.0,
        waiting: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._archive, self._patience_s, self._waiting = archive, patience_s, waiting
        self._loop = asyncio.get_running_loop()
        self._jobs: list[_Job] = []
        self._due: asyncio.TimerHandle | None = None
        self._pause_s, self._deadline = 0.25, 0.0  # while the disk is full
        self._syncing: set[asyncio.Task[None]] = set()

    def submit(
        self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> asyncio.Future[_T]:
        """Queue a job.

        Args:
            work: A method of the archive, reading or writing.
            *args: Its positional arguments.
            **kwargs: Its keyword arguments.

        Returns:
            A future with the result of `work`, done when it is committed.
        """
        return self._put(lambda: work(*args, **kwargs), False)

    def secure(
        self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> asyncio.Future[_T]:
        """Queue a job that is done only when it is on disk, such as a paid reply.

        Args:
            work: A method of the archive.
            *args: Its positional arguments.
            **kwargs: Its keyword arguments.

        Returns:
            A future with the result of `work`, done when it is durable.
        """
        return self._put(lambda: work(*args, **kwargs), True)

    def post(
        self, work: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs
    ) -> None:
        """Queue a job and ignore its result; a full disk fails later jobs as well.

        Args:
            work: A method of the archive.
            *args: Its positional arguments.
            **kwargs: Its keyword arguments.
        """
        self.submit(work, *args, **kwargs).add_done_callback(_heard)

    def _put(self, work: Callable[[], _T], secure: bool) -> asyncio.Future[_T]:
        done: asyncio.Future[_T] = self._loop.create_future()
        self._jobs.append(_Job(work, done, secure))
        if self._due is None:
            self._due = self._loop.call_later(GATHER_S, self._work)
        return done

    async def close(self) -> None:
        """Run the queued jobs and stop; a full disk is no longer retried."""
        self._patience_s = self._deadline = 0.0
        if self._due is not None:
            self._due.cancel()
            self._work()
        await asyncio.gather(*self._syncing)

    def _work(self) -> None:
        """Run all queued jobs that were not cancelled, in one transaction."""
        self._due = None
        jobs = [job for job in self._jobs if not job.done.cancelled()]
        self._jobs = []
        try:
            self._commit(jobs)
        except StorageFull as error:
            self._try_later(jobs, error)
        else:
            self._pause_s, self._deadline = 0.25, 0.0

    def _try_later(self, jobs: list[_Job], error: StorageFull) -> None:
        """Requeue the jobs before newer ones; fail them after `patience_s`."""
        now = time.monotonic()
        self._deadline = self._deadline or now + self._patience_s
        if now + self._pause_s > self._deadline:
            for job in jobs:
                _fail(job, error)
            return
        self._waiting(f"{error.message}; trying again in {self._pause_s:g} s")
        self._jobs = jobs
        self._due = self._loop.call_later(self._pause_s, self._work)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _commit(self, jobs: list[_Job]) -> None:
        """Run the jobs in one transaction; if one fails, each in its own.

        Raises:
            StorageFull: The disk can't be written; `jobs` still holds those that are
                left.
        """
        try:
            with self._archive.together():
                results = [job.work() for job in jobs]
        except StorageFull:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the caller, as executors do
            if len(jobs) == 1:
                _fail(jobs[0], error)
                return
            while jobs:
                self._commit(jobs[:1])
                del jobs[:1]
            return
        done = list(zip(jobs, results, strict=True))
        for job, result in done:
            if not job.secure and not job.done.done():
                job.done.set_result(result)
        secure = [(job, result) for job, result in done if job.secure]
        if secure:
            task = self._loop.create_task(self._answer_when_safe(secure))
            self._syncing.add(task)
            task.add_done_callback(self._syncing.discard)

    async def _answer_when_safe(self, secure: list[tuple[_Job, Any]]) -> None:
        try:
            await asyncio.to_thread(self._archive.sync)
        except StorageFull as error:
            for job, _ in secure:
                _fail(job, error)
            return
        for job, result in secure:
            if not job.done.done():
                job.done.set_result(result)


def _heard(done: asyncio.Future[Any]) -> None:
    """Retrieve the exception, so that asyncio does not report it as never retrieved."""
    if not done.cancelled():
        done.exception()


def _fail(job: _Job, error: Exception) -> None:
    if not job.done.done():
        job.done.set_exception(error)
