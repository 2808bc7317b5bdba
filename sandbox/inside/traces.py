"""What a candidate may leave behind in a sandbox, and the proof that it is gone.

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
"""Told what each process used that is reaped."""


def gone(account: Account) -> bool:
    """Kill what the candidate left and remove its files; True when nothing of it remains."""
    return kill_all(account) and wipe() and no_ipc()


def kill_all(account: Account) -> bool:
    """Kill every process in here but this one; True when none is left.

    One call reaches all of them before any can fork again, and needs no process of its own: a
    candidate may have taken every one that the sandbox allows.
    """
    if os.getpid() != 1:
        # not the first process of a sandbox: the others are not ours to kill
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
    """Kill every descendant of this process, a subreaper; True when none is left.

    For a server that shares its processes with the machine: what it did not start is not touched.
    """
    deadline = time.monotonic() + KILL_PATIENCE_S
    try:
        while found := children(os.getpid()):
            if time.monotonic() > deadline:
                return False
            for pid in found:
                # a child that is not reaped keeps its number
                os.kill(pid, signal.SIGKILL)
            for pid in found:
                _, _, usage = os.wait4(pid, 0)  # its own children are ours from here on
                account(usage)
    except OSError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Process ids of the children of a process of one thread, zombies included. Raises `OSError`."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(pid) for pid in file.read().split()]


def others(account: Account, waiting: int = 0) -> list[int]:
    """Process ids in here besides this process; reaps those that are only zombies.

    Args:
        account: told what each reaped process used.
        waiting: the first process of the next candidate's namespaces, left out with what it started.
    """
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                break
            account(usage)
    found = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    # asked last: it may have just forked
    return sorted(found - {os.getpid(), *family(waiting)})


def family(pid: int) -> list[int]:
    """A process and its children; nothing for 0, or when it has ended."""
    try:
        return [pid, *children(pid)] if pid else []
    except OSError:
        return []


def wipe() -> bool:
    """Empty every place a candidate could write to."""
    return all(empty(place) for place in SCRATCH if os.path.isdir(place))


def no_ipc() -> bool:
    """True when no System V object was left behind."""
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}") as file:
            if len(file.readlines()) > 1:
                return False
    return True


def oom_kills() -> int:
    """How often the kernel killed for memory in this sandbox, so far."""
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
