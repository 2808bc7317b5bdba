"""Processor time of everything that an engine has others do: children, containers, Docker's daemons."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import NamedTuple

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_DAEMONS = ("dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "docker-proxy")


class Spent(NamedTuple):
    """Seconds so far, by who spent them."""

    children: float  # of this process, that have ended: an engine with all of its own
    containers: float
    daemons: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)

    def since(self, before: Spent) -> Spent:
        """What was spent after another look."""
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


def spent() -> Spent:
    """What else the machine does meanwhile does not count, as long as it is in no container."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(children.ru_utime + children.ru_stime, _containers_s(), _daemons_s())


def _containers_s() -> float:
    """Of the cgroup above all containers, which outlives each of them."""
    old = _CGROUPS / "cpuacct" / "docker" / "cpuacct.usage"
    if old.is_file():
        return int(old.read_text()) / 1e9
    for new in (_CGROUPS / "docker", _CGROUPS / "system.slice"):
        if (new / "cpu.stat").is_file():
            return int((new / "cpu.stat").read_text().split()[1]) / 1e6
    return 0.0


def _daemons_s() -> float:
    total = 0.0
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if process.info["name"] in _DAEMONS and times is not None:
            total += times.user + times.system
    return total
