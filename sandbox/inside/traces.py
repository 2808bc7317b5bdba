"""Traces that a candidate may leave in a sandbox, and the proof that they are gone.

Used by the fork server, as the first process of its sandbox. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable

from .removal import empty

SCRATCH = ("/tmp", "/dev/shm", "/dev/mqueue")
KILL_PATIENCE_S = 2.0
Account = Callable[[resource.struct_rusage], None]
"""Called with the resource usage of each reaped process."""


def gone(account: Account) -> bool:
    """Kill the candidate's processes and remove its files.

    Args:
        account: Called with the usage of each reaped process.

    Returns:
        True if nothing of the candidate remains.
    """
    return kill_all(account) and wipe() and no_ipc()


def kill_all(account: Account) -> bool:
    """Kill every process in the sandbox except this one.

    One call reaches all of them before any can fork again, and needs no new process: a
    candidate may have used all that the sandbox allows.

    Args:
        account: Called with the usage of each reaped process.

    Returns:
        True if none is left; False also outside a sandbox.
    """
    if os.getpid() != 1:
        # not the first process of a sandbox: the others must not be killed
        return False
    deadline = time.monotonic() + KILL_PATIENCE_S
    while others(account):
        if time.monotonic() > deadline:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        time.sleep(0.0005)
    return True


def end_descendants(account: Account) -> bool:
    """Kill every descendant of this process, which must be a subreaper.

    For a server that shares the process namespace of the machine: other processes are
    not touched.

    Args:
        account: Called with the usage of each reaped process.

    Returns:
        True if none is left.
    """
    deadline = time.monotonic() + KILL_PATIENCE_S
    try:
        while found := children(os.getpid()):
            if time.monotonic() > deadline:
                return False
            for pid in found:
                # a child that is not reaped keeps its id
                os.kill(pid, signal.SIGKILL)
            for pid in found:
                _, _, usage = os.wait4(pid, 0)  # this process adopts its children
                account(usage)
    except OSError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Return the children of a single-threaded process, zombies included.

    Args:
        pid: Id of the process.

    Returns:
        Process ids.

    Raises:
        OSError: The process is gone, or the kernel does not list children.
    """
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(pid) for pid in file.read().split()]


def others(account: Account, waiting: int = 0) -> list[int]:
    """Return the other processes in the sandbox; reap zombies.

    Args:
        account: Called with the usage of each reaped process.
        waiting: The first process of the next candidate's namespaces, left out with its
            children.

    Returns:
        Process ids, sorted.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                break
            account(usage)
    found = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    # read last: it may just have forked
    return sorted(found - {os.getpid(), *family(waiting)})


def family(pid: int) -> list[int]:
    """Return a process and its children.

    Args:
        pid: Id of the process, or 0.

    Returns:
        Process ids; empty for 0, or if the process has ended.
    """
    try:
        return [pid, *children(pid)] if pid else []
    except OSError:
        return []


def wipe() -> bool:
    """Empty every directory that a candidate can write to.

    Returns:
        True if all are empty.
    """
    return all(empty(place) for place in SCRATCH if os.path.isdir(place))


def no_ipc() -> bool:
    """Return whether no System V object was left.

    Returns:
        True if there is none.
    """
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}") as file:
            if len(file.readlines()) > 1:
                return False
    return True


def oom_kills() -> int:
    """Return how many times the kernel has killed for lack of memory in this sandbox.

    Returns:
        The counter of the control group; 0 if it can't be read.
    """
    for path in (
        "/sys/fs/cgroup/memory.events",
        "/sys/fs/cgroup/memory/memory.oom_control",
    ):
        try:
            with open(path) as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except OSError:
            continue
    return 0
