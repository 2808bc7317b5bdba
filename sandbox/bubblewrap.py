"""The bubblewrap provider, for machines without Docker: one warm box per worker.

bubblewrap maps a single user id, so the fork server can't change users. Instead it has
CAP_SYS_ADMIN in the user namespace of its box, and gives each candidate separate
process, mount and IPC namespaces without any capability (`inside/namespaces.py`): they
end with the candidate. Total memory and the number of processes are limited by a
control group where this process or the user's systemd can make one; otherwise the fork
server watches them. Started as
root, a box drops root first.
"""

import asyncio
import base64
from pathlib import Path

from evolve.sandbox.bwrap import find_bwrap
from evolve.sandbox.cache import (
    VARIABLE,
    Snapshot,
    open_the_way,
    require_executable,
)
from evolve.sandbox.cgroup import COUNTERS, Cgroup, CgroupRoot
from evolve.sandbox.errors import (
    CandidateFault,
    ProviderFault,
    Reason,
    SandboxError,
    SandboxUnavailable,
)
from evolve.sandbox.folder import MOUNT, SharedFolder, remove_abandoned
from evolve.sandbox.inside import namespaces
from evolve.sandbox.namespaces import entering, separation, try_namespaces
from evolve.sandbox.process_box import ProcessBox, spawn_box
from evolve.sandbox.provider import (
    Box,
    Progress,
    Provider,
    server_arguments,
    server_environment,
)
from evolve.sandbox.rootfs import INSIDE, PACKAGES, build_rootfs, interpreter
from evolve.sandbox.scope import ScopeRoot, find_groups
from evolve.sandbox.seccomp import build_filter

# The fork server needs them to separate candidates; they hold only in the user namespace
# of its box.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_SYS_PTRACE")
# bwrap, the fork server, the first process of a candidate's namespaces, and the processes
# that wait for the next candidate.
_OWN_PROCESSES = 3 + namespaces.WAITING
_LIVES = 10_000


class BubblewrapProvider(Provider):
    """Starts boxes in fresh namespaces, on a read-only root with private scratch space.

    Attributes:
        allowed_calls: Names of system calls that the filter would refuse and does not;
            for tests.
        uses_cgroups: Whether to look for control groups; False: always watch.
    """

    name = "bubblewrap"
    isolates = True
    allowed_calls: frozenset[str] = frozenset()
    uses_cgroups = True
    _bwrap: str
    _root: Path
    _snapshot: Snapshot
    _cgroups: CgroupRoot | ScopeRoot | None = None

    async def prepare(self, progress: Progress) -> None:
        """Check that namespaces work here and build the root file system on first use.

        Args:
            progress: Called with a line per step.

        Raises:
            SandboxUnavailable: bwrap or its namespaces don't work, or the task names a
                Docker image.
            ProviderFault: A box did not start.
        """
        if self.spec.image:
            raise SandboxUnavailable(
                f"bubblewrap can't use a Docker image ({self.spec.image})",
                "start Docker and use --sandbox docker",
            )
        self._bwrap = find_bwrap()
        await asyncio.to_thread(try_namespaces, self._bwrap)
        if self.spec.shares_folder:
            remove_abandoned()
        if self.uses_cgroups:
            self._cgroups = await asyncio.to_thread(find_groups)
        if self._cgroups is None:
            progress(
                "sandbox: no control group can be made here, neither by this process "
                "nor by systemd-run --user, so total memory is only watched; for a "
                "limit of the kernel: --sandbox docker"
            )
        else:
            self._cgroups.remove_abandoned()
        await asyncio.to_thread(self._build, progress)
        box = await self.start()
        await box.kill()

    def _build(self, progress: Progress) -> None:
        """Make the root file system, unless it is there and whole."""
        spec = self.spec
        self._root = build_rootfs(spec.packages, progress, spec.tools, spec.builds)
        require_executable(self._root, VARIABLE)
        open_the_way(self._root)
        self._snapshot = Snapshot(self._root)

    async def check(self, thorough: bool = True) -> None:
        """Make a damaged root file system again.

        Args:
            thorough: Whether to look at each file, not only at the directories.

        Raises:
            ProviderFault: It can't be made.
        """
        if not thorough and self._snapshot.holds(thorough):
            return  # faster than to start a thread
        if await asyncio.to_thread(self._snapshot.holds, True):
            return
        try:
            await asyncio.to_thread(self._build, lambda message: None)
        except SandboxUnavailable as error:
            raise ProviderFault(error.message, error.hint) from None
        self.generation += 1

    async def start(self) -> Box:
        """Start one box and wait until its fork server is ready.

        Returns:
            The box.

        Raises:
            ProviderFault: It did not start.
        """
        folder = SharedFolder.make() if self.spec.shares_folder else None
        cgroup = None
        try:
            cgroup = self._make_cgroup()
            box = await self._spawn(folder, cgroup)
        except ProviderFault:
            if folder is not None:
                folder.remove()
            if cgroup is not None:
                cgroup.remove()
            raise
        box.folder, box.cgroup = folder, cgroup
        box.lives = 1 if self.spec.fresh else _LIVES
        return box

    def _make_cgroup(self) -> Cgroup | None:
        if self._cgroups is None:
            return None
        limits = self.spec.limits
        try:
            return self._cgroups.make(
                limits.memory_bytes + limits.disk_bytes,
                limits.processes + _OWN_PROCESSES,
            )
        except OSError as error:
            raise ProviderFault(f"a control group can't be made: {error}") from None

    async def _spawn(
        self, folder: SharedFolder | None, cgroup: Cgroup | None
    ) -> "BubblewrapBox":
        shared = ["--ro-bind", str(folder.path), MOUNT] if folder else []
        counted = (
            [
                "--tmpfs",
                "/sys",
                "--tmpfs",
                COUNTERS,
                "--ro-bind",
                str(cgroup.memory),
                cgroup.seen_at,
                "--remount-ro",
                "/sys",
            ]
            if cgroup
            else []
        )
        command = [
            *self._namespaces(),
            *shared,
            *counted,
            "--",
            interpreter(),
            f"{INSIDE}/start.py",
            *server_arguments(self.spec, first_uid=0),
            *self._separating(cgroup),
        ]
        return await spawn_box(BubblewrapBox, entering(command, cgroup), {})

    def _separating(self, cgroup: Cgroup | None) -> list[str]:
        """Return the server's arguments beyond those of every provider."""
        program = build_filter(self.allowed_calls, large_buffers=cgroup is not None)
        calls = base64.b64encode(program).decode()
        watched = [] if cgroup else ["--watch"]
        return ["--namespaces", "--filter", calls, *watched]

    async def close(self) -> None:
        """Do nothing: the root file system stays in the cache for later runs."""

    def _namespaces(self) -> list[str]:
        size = ["--size", str(self.spec.limits.disk_bytes)]
        command = [
            *separation(self._bwrap),
            "--clearenv",
            "--ro-bind",
            str(self._root),
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            *size,
            "--tmpfs",
            "/tmp",
            *size,
            "--tmpfs",
            "/dev/shm",
            "--remount-ro",
            "/dev",
            "--chdir",
            "/tmp",
            "--cap-drop",
            "ALL",
        ]
        for capability in _CAPABILITIES:
            command += ["--cap-add", capability]
        for name, value in server_environment(PACKAGES).items():
            command += ["--setenv", name, value]
        return command


class BubblewrapBox(ProcessBox):
    """A box that the kernel may kill for lack of memory."""

    cgroup: Cgroup | None = None

    async def kill(self) -> None:
        """End the process group, then remove the shared directory and the control group."""
        await super().kill()
        if self.folder is not None:
            self.folder.remove()
        if self.cgroup is not None:
            await asyncio.to_thread(self.cgroup.remove)

    async def explain_death(self) -> SandboxError:
        """Return a `CandidateFault` after an out-of-memory kill, else a `ProviderFault`."""
        if self.cgroup is not None and self.cgroup.memory_kills():
            return CandidateFault(Reason.MEMORY, "killed: out of memory")
        return ProviderFault(f"the sandbox is gone: {await self.last_words()}")
