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
from pathlib import Path

from sandbox.errors import CandidateFault, ProviderFault, Reason, SandboxError, SandboxUnavailable
from sandbox.family import used
from sandbox.folder import MOUNT, SharedFolder, remove_abandoned
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
        if self.spec.shares_folder:
            remove_abandoned()
        self._root = await asyncio.to_thread(build_rootfs, self.spec.packages, progress,
                                             self.spec.tools)
        box = await self.start()
        await box.kill()

    async def start(self) -> Box:
        """Start one box and wait until its fork server is ready."""
        folder = SharedFolder.make() if self.spec.shares_folder else None
        try:
            box = await self._spawn(folder)
        except ProviderFault:
            if folder is not None:
                folder.remove()
            raise
        box.folder = folder
        box.watch(self.spec.limits.memory_bytes + self.spec.limits.disk_bytes,
                  self.spec.limits.processes)
        return box

    async def _spawn(self, folder: SharedFolder | None) -> BubblewrapBox:
        shared = ["--ro-bind", str(folder.path), MOUNT] if folder else []
        with tempfile.TemporaryFile() as calls:
            calls.write(build_filter(self.allowed_calls))
            calls.seek(0)
            command = [*_drop_root(), *self._namespaces(), *shared,
                       "--seccomp", str(calls.fileno()), "--", interpreter(), f"{INSIDE}/server.py",
                       *server_arguments(self.spec, first_uid=0)]
            return await spawn_box(BubblewrapBox, command, {"PATH": os.environ.get("PATH", "")},
                                   (calls.fileno(),))

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
            memory, threads = used(self.process.pid, memory_bytes)
            if memory > memory_bytes:
                self._exceeded = CandidateFault(Reason.MEMORY, f"used {memory:,} bytes of memory")
            elif threads > processes + _OWN_PROCESSES:
                self._exceeded = CandidateFault(Reason.CRASH, f"started {threads} processes")
            if self._exceeded:
                self.kill_tree()
                return
            await asyncio.sleep(WATCH_EVERY_S)

    async def kill(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        await super().kill()
        if self.folder is not None:
            self.folder.remove()

    async def explain_death(self) -> SandboxError:
        if self._exceeded:
            return self._exceeded
        return ProviderFault(f"the sandbox is gone: {await self.last_words()}")
