"""The bubblewrap provider, for machines without Docker: own namespaces, one box per candidate.

bubblewrap maps a single user id, so the fork server can't change users; each box serves one
candidate and is thrown away whole. The total of memory and processes is watched from outside, for
the kernel's limits count per process; started as root, it drops root first.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from sandbox.errors import CandidateFault, ProviderFault, Reason, SandboxError, SandboxUnavailable
from sandbox.process_box import ProcessBox, spawn_box
from sandbox.provider import (
    Box,
    Progress,
    Provider,
    server_arguments,
    server_environment,
)
from sandbox.rootfs import INSIDE, PACKAGES, build_rootfs, interpreter
from sandbox.seccomp import build_filter

WATCH_EVERY_S = 0.05
_NOBODY = "65534"
_OWN_PROCESSES = 2  # bwrap and the fork server


class BubblewrapProvider(Provider):
    """Starts a process in fresh namespaces on a read-only root with private scratch space."""

    name = "bubblewrap"
    isolates = True
    allowed_calls: frozenset[str] = frozenset()  # of those that the filter refuses
    _root: Path

    async def prepare(self, progress: Progress) -> None:
        """Check that namespaces work here and build the root on first use."""
        if shutil.which("bwrap") is None:
            raise SandboxUnavailable("bubblewrap (bwrap) is not installed",
                                     "apt-get install bubblewrap, or start Docker")
        if self.spec.image:
            raise SandboxUnavailable("bubblewrap can't use a Docker image "
                                     f"({self.spec.image})", "start Docker and use --sandbox docker")
        self._root = await asyncio.to_thread(build_rootfs, self.spec.packages, progress,
                                             self.spec.tools)
        box = await self.start()
        await box.kill()

    async def start(self) -> Box:
        """Start one box and wait until its fork server is ready."""
        with tempfile.TemporaryFile() as calls:
            calls.write(build_filter(self.allowed_calls))
            calls.seek(0)
            command = [*_drop_root(), *self._namespaces(), "--seccomp", str(calls.fileno()), "--",
                       interpreter(), f"{INSIDE}/server.py",
                       *server_arguments(self.spec, first_uid=0)]
            box = await spawn_box(BubblewrapBox, command, {"PATH": os.environ.get("PATH", "")},
                                  (calls.fileno(),))
        box.watch(self.spec.limits.memory_bytes + self.spec.limits.disk_bytes,
                  self.spec.limits.processes)
        return box

    async def close(self) -> None:
        """Nothing is held: the root stays for the next time."""

    def _namespaces(self) -> list[str]:
        size = ["--size", str(self.spec.limits.disk_bytes)]
        command = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns",
                   "--die-with-parent", "--new-session", "--as-pid-1",
                   "--clearenv", "--ro-bind", str(self._root), "/", "--proc", "/proc",
                   "--dev", "/dev", *size, "--tmpfs", "/tmp", *size, "--tmpfs", "/dev/shm",
                   "--remount-ro", "/dev", "--chdir", "/tmp", "--cap-drop", "ALL"]
        for name, value in server_environment(PACKAGES).items():
            command += ["--setenv", name, value]
        return command


def _drop_root() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--"]


class BubblewrapBox(ProcessBox):
    """A box whose total of memory and processes is watched from outside."""

    _watcher: asyncio.Task[None] | None = None
    _exceeded: CandidateFault | None = None

    def watch(self, memory_bytes: int, processes: int) -> None:
        """Start watching; past a limit the whole box is killed at once."""
        self._watcher = asyncio.create_task(self._watch(memory_bytes, processes))

    async def _watch(self, memory_bytes: int, processes: int) -> None:
        while self.process.returncode is None:
            used, count = _total(self.process.pid, _resident)
            if used > memory_bytes:
                used, _ = _total(self.process.pid, _own_share)  # slower, so only when in doubt
            if used > memory_bytes:
                self._exceeded = CandidateFault(Reason.MEMORY, f"used {used:,} bytes of memory")
            elif count > processes + _OWN_PROCESSES:
                self._exceeded = CandidateFault(Reason.CRASH, f"started {count} processes")
            if self._exceeded:
                self.kill_tree()
                return
            await asyncio.sleep(WATCH_EVERY_S)

    async def kill(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        await super().kill()

    async def explain_death(self) -> SandboxError:
        if self._exceeded:
            return self._exceeded
        return ProviderFault(f"the sandbox is gone: {await self.last_words()}")


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _own_share(process: psutil.Process) -> int:
    """Pages that several processes share count in parts, where that may be read."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return _resident(process)


def _total(pid: int, size: Callable[[psutil.Process], int]) -> tuple[int, int]:
    """Bytes and threads of a process and all below it."""
    used = count = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0
    for process in family:
        try:
            used += size(process)
            count += process.num_threads()
        except psutil.NoSuchProcess:
            continue  # it ended meanwhile
    return used, count
