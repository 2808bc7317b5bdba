"""What a candidate may do to the machine beside it: kernel memory, families, priorities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil
import pytest

from evolve.sandbox import Provider, Reason, SandboxSpec
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.contract import LIMITS, Outcome, attempt, opened
from evolve.sandbox.docker import DockerProvider
from evolve.sandbox.seccomp import build_filter, docker_profile
from tests.security.weaker import WatchedProvider

SPEC = SandboxSpec(replace(LIMITS, files=4000))
PROVIDERS: dict[str, Callable[[SandboxSpec], Provider]] = {
    "docker": DockerProvider,
    "bubblewrap": BubblewrapProvider,
    "watched": WatchedProvider,
}
every_provider = pytest.mark.parametrize(
    "name", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap", "watched"]
)
# Each process maps far more than it touches: the tables that map it are kernel memory.
PAGE_TABLES = """
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
def answer(gib):
    size = gib << 30
    at = libc.mmap(None, size, 1, 0x4022, -1, 0)
    if at in (None, 2**64 - 1):
        return "refused"
    libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), 15)
    for offset in range(0, size, 1 << 21):
        ctypes.c_char.from_address(at + offset).value
    time.sleep(3)
    return "held"
"""
SOCKET_BUFFERS = """
import os, socket, time
def fill(pairs):
    held = []
    for _ in range(pairs):
        a, b = socket.socketpair()
        held += [a, b]
        for s in (a, b):
            s.setblocking(False)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
            try:
                while True:
                    s.send(bytes(60000))
            except OSError:
                pass
    return held
def answer(processes):
    for _ in range(processes):
        if os.fork() == 0:
            held = fill(110)
            time.sleep(30)
            os._exit(0)
    held = fill(110)
    time.sleep(5)
    return "held"
"""
FAMILIES = """
import socket
FAMILIES = dict(unix=1, inet=2, inet6=10, netlink=16, vsock=40, alg=38, bluetooth=31,
                can=29, tipc=30, rds=21, kcm=41, xdp=44, smc=43, packet=17, ax25=3)
def answer():
    opened = []
    for name, family in FAMILIES.items():
        for kind in (1, 2, 3, 5):
            try:
                socket.socket(family, kind).close()
                opened.append(name)
                break
            except OSError:
                pass
    try:
        socket.socket(16, 3, 12).close()
        opened.append("netfilter")
    except OSError:
        pass
    return opened
"""
PRIORITIES = """
import os
def answer():
    works = {
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
        "priority of the user": lambda: os.setpriority(os.PRIO_USER, 0, 19),
        "class": lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
        "processor": lambda: os.sched_setaffinity(1, {0}),
    }
    done = []
    for name, work in works.items():
        try:
            work()
            done.append(name)
        except OSError:
            pass
    os.nice(1), os.sched_setaffinity(0, os.sched_getaffinity(0))  # one's own
    return done
"""
COUNTERS = """
import os
def answer():
    seen = []
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        seen += names
    return len(seen), os.getpid()
"""


def one(name: str, source: str, *arguments: Any, timeout_s: float = 20.0) -> Outcome:
    """One call in a fresh pool."""

    async def work() -> Outcome:
        async with opened(PROVIDERS[name](SPEC)) as pool:
            return await attempt(pool, source, *arguments, timeout_s=timeout_s)

    return asyncio.run(work())


class Lowest:
    """The machine's free memory, looked at while something runs; for `mixed`, which runs alone."""

    def __init__(self) -> None:
        self.before = self.least = psutil.virtual_memory().available

    async def watch(self) -> None:
        while True:
            self.least = min(self.least, psutil.virtual_memory().available)
            await asyncio.sleep(0.01)

    @property
    def taken(self) -> int:
        return self.before - self.least


@every_provider
def test_page_tables_count_as_memory(name: str) -> None:
    outcome = one(name, PAGE_TABLES, 600)
    assert outcome.value == "refused" or (
        outcome.fault is not None and outcome.fault.reason is Reason.MEMORY
    ), outcome


@every_provider
def test_buffers_of_sockets_count_as_memory(name: str) -> None:
    outcome = one(name, SOCKET_BUFFERS, 8)
    assert outcome.fault is not None and outcome.fault.reason is Reason.MEMORY, outcome


@every_provider
def test_only_common_address_families_open(name: str) -> None:
    outcome = one(name, FAMILIES)
    assert outcome.value == ["unix", "inet", "inet6", "netlink"], outcome


@every_provider
def test_the_server_of_a_box_keeps_its_priority(name: str) -> None:
    outcome = one(name, PRIORITIES)
    assert set(outcome.value) <= (
        {"priority of the user"} if name == "docker" else set()
    )


@pytest.mark.parametrize("name", ["bubblewrap", "watched"])
def test_counters_of_earlier_candidates_are_hidden(name: str) -> None:
    files, pid = one(name, COUNTERS).value
    assert files == 0 and pid == 2


def test_a_machine_without_control_groups_is_told() -> None:
    said: list[str] = []

    async def prepare() -> None:
        provider = WatchedProvider(SPEC)
        await provider.prepare(said.append)
        await provider.close()

    asyncio.run(prepare())
    assert [line for line in said if "total memory is only watched" in line]


def test_a_call_that_nobody_listed_is_refused() -> None:
    """The filter is a list of what is allowed: both forms of it."""
    import json

    assert build_filter(frozenset()) != build_filter(frozenset({"keyctl"}))
    profile = json.loads(docker_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    names = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert "openat" in names and names.isdisjoint({"keyctl", "bpf", "io_uring_setup"})
