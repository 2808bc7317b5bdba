"""Limits on this process, which everything that it starts inherits.

A candidate that met one of them would seem to fail by itself: a limit that is too low is
therefore a fault of the machine, named before anything starts.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import psutil

from evolve.sandbox.errors import ProviderFault
from evolve.sandbox.limits import MIB, Limits

NOBODY = 65534  # a sandbox that root starts becomes this user
_CANDIDATE_FILES = 256  # of a candidate: `inside/server.py`
_FILES, _FILES_PER_WORKER = 96, 16  # open at once in the engine
_ARCHIVE_BYTES = 512 * MIB  # an image, and a long archive
_PROGRAM_BYTES = 1024 * MIB  # addresses of a Python with arrays and threads
_STACK_BYTES = MIB
_CPU_S = 3600
_USUAL = 64  # processes of a candidate: few need all that they may have
_PROCESSES, _PROCESSES_PER_WORKER = 64, 16  # threads and helpers


class _Limit(NamedTuple):
    """One limit of the kernel, as `ulimit` names it."""

    kind: int
    flag: str
    what: str
    unit: int
    least: int
    usual: int  # what to set; 0: unlimited


def _limits(limits: Limits, workers: int) -> Iterator[_Limit]:
    files = max(_CANDIDATE_FILES, _FILES + _FILES_PER_WORKER * workers)
    yield _Limit(
        resource.RLIMIT_NOFILE, "n", "open files", 1, files, max(1024, 2 * files)
    )
    written = max(_ARCHIVE_BYTES, limits.disk_bytes)
    yield _Limit(resource.RLIMIT_FSIZE, "f", "KiB of a file", 1024, written, 0)
    memory = max(limits.memory_bytes, _PROGRAM_BYTES)
    addresses = memory + _PROGRAM_BYTES
    yield _Limit(resource.RLIMIT_AS, "v", "KiB of address space", 1024, addresses, 0)
    yield _Limit(resource.RLIMIT_DATA, "d", "KiB of data", 1024, memory, 0)
    yield _Limit(
        resource.RLIMIT_STACK, "s", "KiB of stack", 1024, _STACK_BYTES, 8 * MIB
    )
    yield _Limit(resource.RLIMIT_CPU, "t", "seconds of CPU time", 1, _CPU_S, 0)


def too_low(
    limits: Limits, workers: int, raises: bool = True
) -> tuple[str, str] | None:
    """Return the limit on this process that candidates or the engine would meet.

    Args:
        limits: Limits of one candidate.
        workers: Number of candidates at once.
        raises: Whether to raise a soft limit below a sufficient hard one.

    Returns:
        The limit with its value, and the way out; None: all are high enough.
    """
    for limit in _limits(limits, workers):
        soft, hard = resource.getrlimit(limit.kind)
        if soft < 0 or soft >= limit.least:
            continue
        if raises and (hard < 0 or hard >= limit.least):
            resource.setrlimit(limit.kind, (limit.least, hard))
            continue
        advice = limit.usual // limit.unit or "unlimited"
        return _said(
            limit.flag, limit.what, soft // limit.unit, limit.least // limit.unit
        ), _way_out(limit.flag, advice)
    return _too_few_processes(limits, workers, raises)


def check_limits(limits: Limits, workers: int) -> None:
    """Check the limits on this process.

    Args:
        limits: Limits of one candidate.
        workers: Number of candidates at once.

    Raises:
        ProviderFault: One is too low.
    """
    if problem := too_low(limits, workers, raises=False):
        raise ProviderFault(*problem)


def _said(flag: str, what: str, given: int, least: int) -> str:
    return (
        f"the limit of this shell on {what} is too low: {given} (ulimit -{flag}), and "
        f"at least {least} are needed"
    )


def _way_out(flag: str, advice: object) -> str:
    return (
        f"ulimit -{flag} {advice}, then the same again; if that is refused, raise it in "
        "/etc/security/limits.conf, or for a service in its unit"
    )


def _too_few_processes(
    limits: Limits, workers: int, raises: bool
) -> tuple[str, str] | None:
    """Check the limit on processes of the user that candidates run as."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft < 0:
        return None
    each = min(limits.processes, _USUAL) + _PROCESSES_PER_WORKER
    least = _threads_of(os.geteuid() or NOBODY) + _PROCESSES + each * workers
    if soft >= least:
        return None
    if raises and (hard < 0 or hard >= least):
        resource.setrlimit(resource.RLIMIT_NPROC, (least, hard))
        return None
    return _said("u", "processes of this user", soft, least), _way_out("u", least * 2)


def _threads_of(user: int) -> int:
    """Return the number of threads of a user, as the kernel counts them."""
    count = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.uids().real == user:
                count += process.num_threads()
    return count
