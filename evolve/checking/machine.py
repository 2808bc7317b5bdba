"""Whether this machine is fit for timing: other load, throttling, shared cores."""

import os
from collections.abc import Iterator
from pathlib import Path

from evolve.checking.findings import Finding

_BUSY = 0.3  # load per processor that disturbs


def machine_findings(root: Path = Path("/")) -> list[Finding]:
    """Check what disturbs timing here.

    Args:
        root: Directory that holds `proc` and `sys`; other than "/" only in tests.

    Returns:
        One finding each, with advice where something can be done.
    """
    return [_load(), _siblings(root), *_throttling(root), *_governor(root)]


def _load() -> Finding:
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    text = f"load: {load:.1f} processes on {cores} processors in the last minute"
    if load / cores > _BUSY:
        return Finding(
            "warn", text, "stop other work on this machine while it measures"
        )
    return Finding("ok", text)


def _siblings(root: Path) -> Finding:
    core = max(os.sched_getaffinity(0))
    path = root / f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
    shared = _read(path)
    if shared and shared != str(core):
        return Finding(
            "warn",
            f"processor {core}, which measures, shares its core with others ({shared})",
            "leave them idle, or switch hyper-threading off: "
            "echo off > /sys/devices/system/cpu/smt/control",
        )
    return Finding("ok", f"processor {core} measures; it shares its core with none")


def _throttling(root: Path) -> Iterator[Finding]:
    """Report a limit on this process's CPU time that was reached, and stolen time."""
    for path in ("sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/cpu/cpu.stat"):
        fields = dict(line.split() for line in _read(root / path).splitlines())
        if int(fields.get("nr_throttled", 0)):
            yield Finding(
                "warn",
                f"throttled: a limit on CPU time held processes back "
                f"{fields['nr_throttled']} times",
                "raise the CPU limit of this container",
            )
    first = _read(root / "proc/stat").split("\n")[0].split()
    if len(first) > 8 and int(first[8]) > 0.01 * sum(map(int, first[1:9])):
        yield Finding(
            "warn",
            "stolen: other virtual machines take more than 1 % of the CPU time",
            "measure on a machine of its own",
        )


def _governor(root: Path) -> Iterator[Finding]:
    core = max(os.sched_getaffinity(0))
    name = _read(root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")
    if name and name != "performance":
        yield Finding(
            "warn",
            f"frequency: the governor is {name}",
            "cpupower frequency-set -g performance",
        )


def _read(path: Path) -> str:
    """Return a file's text; empty if this kernel does not have it."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
