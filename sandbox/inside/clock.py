"""The clock of a measured call: wall time, CPU time and instructions, seen from outside.

The engine marks a request with the packet `G`. The interval starts when the server writes
the last byte of that request, and ends when it holds the last byte that the candidate has
sent when the engine asks with `M`. CPU time is that of all processes of the candidate, so
work that it does outside of the interval is seen, too. Standard library only.
"""

from __future__ import annotations

import os
import time

from . import counters, traces, watch

_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
_REAPED = slice(13, 15)  # CPU ticks of children that were waited for, in /proc/PID/stat
_OWN = slice(11, 13)


class Stopwatch:
    """Measures one request at a time.

    Attributes:
        armed: Whether the next write to the candidate ends the request to be measured.
    """

    def __init__(self) -> None:
        self.armed = False
        self._before_ns = self._start_ns = self._end_ns = 0
        self._counter: counters.Counter | None = None

    def arm(self, pids: list[int]) -> None:
        """Prepare for a request; its interval starts with `start`.

        Args:
            pids: Processes of the candidate.
        """
        self.armed = True
        if self._counter is not None:  # of a request that was never read
            self._counter.close()
        self._counter = counters.Counter(pids)
        self._before_ns = spent_ns(pids)

    def start(self) -> None:
        """Begin the interval."""
        self.armed = False
        self._start_ns = self._end_ns = time.perf_counter_ns()

    def lap(self) -> None:
        """Move the end of the interval to now: more of the answer has arrived."""
        self._end_ns = time.perf_counter_ns()

    def read(self, pids: list[int]) -> dict[str, int | None]:
        """Return the measurement.

        Args:
            pids: Processes of the candidate.

        Returns:
            Nanoseconds: `wall` of the interval; CPU time of the candidate so far, `before`
            it and `after` it. `instructions` in between; None where the kernel gives
            none.
        """
        counted = None
        if self._counter is not None:
            counted = self._counter.read()
            self._counter.close()
            self._counter = None
        return {
            "instructions": counted,
            "wall": self._end_ns - self._start_ns,
            "before": self._before_ns,
            "after": spent_ns(pids),
        }


def processes(root: int, waiting: int, alone: bool) -> list[int]:
    """Return the candidate's processes.

    Args:
        root: Its first process.
        waiting: The first process of the next candidate's namespaces; 0 for none.
        alone: Whether every process that this one sees belongs to the sandbox.

    Returns:
        Process ids.
    """
    if alone:
        return [int(pid) for pid in watch.others(waiting)]
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        try:
            queue += traces.children(pid)
        except OSError:  # it has ended
            continue
    return found


def spent_ns(pids: list[int]) -> int:
    """Return the CPU time of processes, and of children that they waited for.

    Args:
        pids: Process ids.

    Returns:
        Nanoseconds; that of reaped children is known to a tick (10 ms).
    """
    return sum(_own_ns(pid) + _ticks(pid, _REAPED) for pid in pids)


def _own_ns(pid: int) -> int:
    clock = (~pid << 3) | 2  # CPU time of all threads: clock_getcpuclockid(3)
    try:
        return time.clock_gettime_ns(clock)
    except OSError:  # it has ended, or the kernel has no such clock
        return _ticks(pid, _OWN)


def _ticks(pid: int, fields: slice) -> int:
    return sum(int(field) for field in watch.stat(str(pid))[fields]) * _TICK_NS
