"""The clocks of an evaluator, which stop during the transport to the sandbox.

They advance by the time that the sandbox measured for a request. Wall clocks are shared by all
processes of the evaluation: one that waits for another does not see its transport either.
The real clocks stay in this module, and the standard library keeps those that it imported by
name, so real time limits are not affected.
"""

import datetime
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from evolve.peers.ledger import Ledger

_WALL = ("time", "monotonic", "perf_counter")
_CPU = ("process_time", "thread_time")
_SPENT = {  # of `clock_gettime`
    getattr(time, name, None): "process" if "PROCESS" in name else "thread"
    for name in ("CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID")
}
_NS = 1_000_000_000
real_ns = time.perf_counter_ns
_process_ns, _thread_ns = time.process_time_ns, time.thread_time_ns
_real_seconds = time.perf_counter


class _OfThread(threading.local):
    """CPU time that the thread's clock leaves out, in nanoseconds."""

    out = 0


class Clocks:
    """How much the evaluator's clocks lag. As a context manager: they stop meanwhile.

    Args:
        ledger: what all processes of the evaluation share

    Attributes:
        advanced: sum of the wall time that `advance` added here, in nanoseconds
        reads: number of readings of a clock in this process
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self.advanced, self.reads = ledger, 0, 0
        self._lock, self._depth = (
            threading.Lock(),
            0,
        )  # threads and calls that stop them
        self._since: int | None = None  # real time at which they stopped
        self._process_out, self._thread = 0, _OfThread()
        self._began = (0, 0)  # CPU time of the process and of the thread at that time

    def __enter__(self) -> None:
        """Stop the clocks, except for what `advance` adds."""
        with self._lock:
            self._depth += 1
            if self._since is None:
                self._stop()

    def __exit__(self, *details: object) -> None:
        """Let them go on, if no other thread or call stops them."""
        with self._lock:
            self._depth -= 1
            if not self._depth:
                self._go_on()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context manager: they run while the evaluator answers the program."""
        with self._lock:
            depth, self._depth = self._depth, 0
            self._go_on()
        try:
            yield
        finally:
            with self._lock:
                self._depth += depth
                if self._since is None:
                    self._stop()

    @staticmethod
    def real_ns() -> int:
        """Return the real time of `time.perf_counter_ns`."""
        return real_ns()

    def _stop(self) -> None:
        self._began = (_process_ns(), _thread_ns())
        self._since = real_ns()

    def _go_on(self) -> None:
        assert self._since is not None
        self._process_out += _process_ns() - self._began[0]
        self._thread.out += _thread_ns() - self._began[1]
        elapsed, self._since = real_ns() - self._since, None
        self._ledger.skip(elapsed)

    def advance(self, wall_ns: int, cpu_ns: int) -> None:
        """Add a time that the sandbox measured.

        Args:
            wall_ns: to clocks of wall time
            cpu_ns: to clocks of CPU time
        """
        self._ledger.skip(-wall_ns)
        self.advanced += wall_ns
        self._process_out -= cpu_ns
        self._thread.out -= cpu_ns

    def lag_ns(self, kind: str) -> int:
        """Return how much a clock lags.

        Args:
            kind: "wall", "process" or "thread"

        Returns:
            Nanoseconds.
        """
        since = self._since
        if kind == "wall":
            return self._ledger.skipped + (0 if since is None else real_ns() - since)
        if kind == "process":
            standing = 0 if since is None else _process_ns() - self._began[0]
            return self._process_out + standing
        return self._thread.out


def install(clocks: Clocks, read: Callable[[str], None]) -> None:
    """Replace the clocks of this process, from now on.

    Args:
        clocks: how much they lag
        read: called with the file name of the code that reads one
    """
    made = _of_gettime(clocks, read)
    for name in _WALL:
        made |= _replaced(name, "wall", clocks, read)
    for name in _CPU:
        made |= _replaced(name, name.partition("_")[0], clocks, read)
    originals = {name: getattr(time, name) for name in made}
    for name, clock in made.items():
        setattr(time, name, clock)
    _replace_names({id(originals[name]): clock for name, clock in made.items()})
    _replace_timeit(made["perf_counter"])
    _replace_datetime(clocks, read)


def _replaced(
    name: str, kind: str, clocks: Clocks, read: Callable[[str], None]
) -> dict[str, Callable[..., Any]]:
    """Return a clock and its twin that counts nanoseconds; neither goes back."""
    real: Callable[[], int] = getattr(time, f"{name}_ns")
    last = [-(1 << 62)]

    def count() -> int:
        now = real() - clocks.lag_ns(kind)
        if now < last[0] and kind == "wall":
            return last[0]
        last[0] = now
        return now

    def nanoseconds() -> int:
        read(sys._getframe(1).f_code.co_filename)
        return count()

    def seconds() -> float:
        read(sys._getframe(1).f_code.co_filename)
        return count() / _NS

    nanoseconds.__name__, seconds.__name__ = f"{name}_ns", name
    return {name: seconds, f"{name}_ns": nanoseconds}


def _of_gettime(
    clocks: Clocks, read: Callable[[str], None]
) -> dict[str, Callable[..., Any]]:
    real = time.clock_gettime_ns

    def clock_gettime_ns(clock: Any) -> int:
        read(sys._getframe(1).f_code.co_filename)
        return real(clock) - clocks.lag_ns(_SPENT.get(clock, "wall"))

    def clock_gettime(clock: Any) -> float:
        read(sys._getframe(1).f_code.co_filename)
        return (real(clock) - clocks.lag_ns(_SPENT.get(clock, "wall"))) / _NS

    return {"clock_gettime": clock_gettime, "clock_gettime_ns": clock_gettime_ns}


def _replace_names(clocks: dict[int, Any]) -> None:
    """Replace clocks that loaded modules have imported by name."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and not _keeps_real(module.__name__):
            for name, value in list(vars(module).items()):
                if id(value) in clocks and callable(value):
                    setattr(module, name, clocks[id(value)])


def _keeps_real(module: str) -> bool:
    top = module.partition(".")[0]
    return top in ("evolve", "time") or top in sys.stdlib_module_names


def _replace_timeit(clock: Any) -> None:
    timeit.default_timer = clock
    functions: tuple[Any, ...] = (timeit.Timer.__init__, timeit.timeit, timeit.repeat)
    for function in functions:
        function.__defaults__ = tuple(
            clock if value is _real_seconds else value
            for value in function.__defaults__ or ()
        )


def _replace_datetime(clocks: Clocks, read: Callable[[str], None]) -> None:
    """Replace the class `datetime` by a subclass with other clocks."""
    real: Any = datetime.datetime

    def lag() -> datetime.timedelta:
        read(sys._getframe(2).f_code.co_filename)
        return datetime.timedelta(microseconds=clocks.lag_ns("wall") / 1000)

    class Meta(type):
        """An instance of the real class is one of the replaced class, too."""

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real)

    class Replaced(real, metaclass=Meta):  # type: ignore[misc]
        """`datetime.datetime` with the evaluator's clocks."""

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return super().now(tz) - lag()

        @classmethod
        def today(cls) -> Any:
            return super().today() - lag()

        @classmethod
        def utcnow(cls) -> Any:
            return super().now(datetime.UTC).replace(tzinfo=None) - lag()

    Replaced.__name__, Replaced.__qualname__ = "datetime", "datetime"
    Replaced.__module__ = "datetime"
    setattr(datetime, "datetime", Replaced)  # noqa: B010 - mypy refuses to assign a class
