"""Separate namespaces for each candidate: its processes, mounts and IPC end with it.

Used by the fork server of a bubblewrap box, which has CAP_SYS_ADMIN in the user
namespace of that box. The candidate runs below a small first process, which reaps the
candidate's processes, reports its exit status and ends: then the kernel kills
everything in the process namespace and drops its mounts. Neither of the two has a
capability. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
from typing import NamedTuple

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWPID = 0x00020000, 0x08000000, 0x20000000
_SYS_CLONE = {"x86_64": 56, "aarch64": 220}
_READ_ONLY, _NOSUID_NODEV, _NOEXEC = 1, 2 | 4, 8
_SET_SECCOMP, _FILTER_MODE, _DROP_FROM_BOUNDING_SET, _SET_NO_NEW_PRIVS = 22, 2, 24, 38
_AMBIENT, _CLEAR_ALL = 47, 4
_CAPABILITY_VERSION = 0x20080522
_COUNTERS = "/sys/fs/cgroup"
# PyDLL keeps the interpreter's lock, also across a fork
_libc = ctypes.PyDLL(None, use_errno=True)

STATUS, FAULT = b"S", b"F"
# processes that wait for the next candidate: the first of its namespaces, and its own
WAITING = 2
_STATUS = struct.Struct("<i")


class End(NamedTuple):
    """The end of a candidate.

    Attributes:
        status: Its wait status.
        fault: Why its namespaces could not be set up; empty if they were.
    """

    status: int
    fault: str


def fork() -> int:
    """Fork like `os.fork`, into new process, mount and IPC namespaces.

    Returns:
        0 in the child, which is the first process of the namespaces; its id in the
        parent.

    Raises:
        OSError: The kernel refuses.
    """
    flags = _CLONE_NEWPID | _CLONE_NEWNS | _CLONE_NEWIPC | signal.SIGCHLD
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(_libc.syscall(_SYS_CLONE[os.uname().machine], flags, 0, 0, 0, 0))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    return pid


def separate(report: int, size_bytes: int, files: int, calls: bytes) -> None:
    """As the first process: mount, drop all privileges, fork.

    Returns only in the candidate.

    Args:
        report: A pipe to the fork server, for `read_end`; the candidate must close it.
        size_bytes: Size of each scratch file system.
        files: Maximum number of files in each of them.
        calls: The system call filter, as `struct sock_filter[]`.
    """
    try:
        _mount(size_bytes, files)
        _drop_capabilities()
        _filter_calls(calls)
        candidate = os.fork()
    except OSError as error:
        os.write(report, FAULT + str(error).encode())
        os._exit(71)
    if candidate:
        _guard(candidate, report)


def _guard(candidate: int, report: int) -> None:
    """Reap processes until the candidate ends, report, then kill and reap the rest."""
    os.closerange(0, report)
    os.closerange(report + 1, 1 << 16)
    pid = status = 0
    while pid != candidate:
        pid, status = os.wait()
    os.write(report, STATUS + _STATUS.pack(status))
    with contextlib.suppress(ChildProcessError):  # until there is nothing left
        while True:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            os.wait()
    os._exit(0)


def read_end(report: int, ended: int) -> End:
    """Read the report of the first process after its end.

    Args:
        report: The pipe from the first process.
        ended: Wait status of the first process, used if it has not reported.

    Returns:
        The end of the candidate.
    """
    data = os.read(report, 1024)
    if data[:1] == STATUS:
        return End(_STATUS.unpack(data[1:])[0], "")
    return End(ended, data[1:].decode(errors="replace"))  # it was killed, or it failed


def _mount(size_bytes: int, files: int) -> None:
    """Mount scratch space and a /proc that belong to this candidate alone."""
    scratch = f"size={size_bytes},nr_inodes={files},mode=1777".encode()
    for place in (b"/tmp", b"/dev/shm"):
        _check(
            _libc.mount(b"tmpfs", place, b"tmpfs", _NOSUID_NODEV, scratch),
            "mount tmpfs",
        )
    _check(
        _libc.mount(b"proc", b"/proc", b"proc", _NOSUID_NODEV | _NOEXEC, None),
        "mount proc",
    )
    if os.path.ismount(_COUNTERS):  # they cover earlier candidates: hide them
        _check(
            _libc.mount(b"tmpfs", _COUNTERS.encode(), b"tmpfs", _READ_ONLY, None),
            "hide counters",
        )


def _drop_capabilities() -> None:
    """Drop all capabilities from every set, so that none can be regained."""
    number = 0
    while _libc.prctl(_DROP_FROM_BOUNDING_SET, number, 0, 0, 0) == 0:
        number += 1
    _check(_libc.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0), "clear ambient capabilities")
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _check(_libc.capset(header, bytes(24)), "drop capabilities")


def _filter_calls(calls: bytes) -> None:
    """Install the filter for this process and all its descendants."""
    _check(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    program = ctypes.create_string_buffer(calls, len(calls))
    packed = ctypes.create_string_buffer(
        struct.pack("@HP", len(calls) // 8, ctypes.addressof(program))
    )
    _check(
        _libc.prctl(_SET_SECCOMP, _FILTER_MODE, packed, 0, 0),
        "install the filter of system calls",
    )


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
