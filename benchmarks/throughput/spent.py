"""Processor time of everything that an engine has others do: children, containers, Docker's daemons.

An engine's processes are counted in a control group of their own where one can be made: the system's
count of waited-for children lacks those that are killed with their parents, as confined scorers are.
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
    """Seconds so far, by who spent them."""

    engine: float  # the engine with all of its own processes
    containers: float
    daemons: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)

    def since(self, before: Spent) -> Spent:
        """What was spent after another look."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


class Account:
    """The processes of one engine; without a control group, the children that were waited for."""

    def __init__(self, group: Path | None = None) -> None:
        self._group = group

    def command(self, words: Sequence[str]) -> list[str]:
        """The command, counted here with all that it starts."""
        if self._group is None:
            return list(words)
        return ["sh", "-c", _JOIN, str(self._group / "cgroup.procs"), *words]

    def spent(self) -> Spent:
        """Seconds so far; what else the machine does meanwhile does not count, but in containers."""
        return Spent(self._engine_s(), containers_s(), _daemons_s())

    def _engine_s(self) -> float:
        if self._group is None:
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            return children.ru_utime + children.ru_stime
        return _used_s(self._group)


@contextmanager
def account() -> Iterator[Account]:
    """A control group that is removed at the end, where one can be made."""
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
    """Seconds so far in the control group above all containers, which outlives each of them."""
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
