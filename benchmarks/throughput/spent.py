"""Processor time of an engine with its children, its containers and Docker's daemons.

The processes of an engine are counted in a separate control group if one can be created: the
operating system's count of waited-for children omits those that are killed with their parents, as
confined scorers are.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_DAEMONS = (
    "dockerd",
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v2",
    "docker-proxy",
)
_JOIN = 'echo $$ >"$0" && exec "$@"'


class Spent(NamedTuple):
    """Processor seconds so far, by part."""

    engine: float  # the engine with all its processes
    containers: float
    daemons: float

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return sum(self)

    def since(self, before: Spent) -> Spent:
        """Return the seconds spent since an earlier measurement."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


class Account:
    """The processes of one engine; without a control group, its waited-for children."""

    def __init__(self, group: Path | None = None) -> None:
        self._group = group

    def command(self, words: Sequence[str]) -> list[str]:
        """Return a command that runs `words` and is counted with all its children."""
        if self._group is None:
            return list(words)
        return ["sh", "-c", _JOIN, str(self._group / "cgroup.procs"), *words]

    def spent(self) -> Spent:
        """Return the seconds so far; other load counts only in containers and daemons."""
        return Spent(self._engine_s(), containers_s(), _daemons_s())

    def _engine_s(self) -> float:
        if self._group is None:
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            return children.ru_utime + children.ru_stime
        return _used_s(self._group)


@contextmanager
def account() -> Iterator[Account]:
    """Create a control group, if possible, and remove it at the end."""
    parent = _CGROUPS / "cpuacct" if (_CGROUPS / "cpuacct").is_dir() else _CGROUPS
    group = parent / f"evolve-benchmark-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield Account()
        return
    try:
        yield Account(group)
    finally:
        with suppress(OSError):  # a process of the engine is still ending
            group.rmdir()


def _used_s(group: Path) -> float:
    old = group / "cpuacct.usage"
    if old.is_file():
        return int(old.read_text()) / 1e9
    return int((group / "cpu.stat").read_text().split()[1]) / 1e6


def containers_s() -> float:
    """Return the seconds in the parent control group of all containers, which outlives them."""
    for group in (
        _CGROUPS / "cpuacct" / "docker",
        _CGROUPS / "docker",
        _CGROUPS / "system.slice",
    ):
        if group.is_dir():
            return _used_s(group)
    return 0.0


def _daemons_s() -> float:
    total = 0.0
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if process.info["name"] in _DAEMONS and times is not None:
            total += times.user + times.system
    return total
