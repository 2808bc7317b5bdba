"""The local provider isolates nothing: a candidate is a plain process.

It is used only if typed by name. One warm fork server per worker, as in the other
sandboxes. When a candidate ends, its directory and all of its processes are removed;
files that it wrote anywhere else stay.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

from evolve.sandbox.errors import SandboxUnavailable
from evolve.sandbox.process_box import ProcessBox, spawn_box
from evolve.sandbox.provider import (
    Box,
    Progress,
    Provider,
    server_arguments,
    server_environment,
)
from evolve.sandbox.rootfs import interpreter, packages_folder
from evolve.sandbox.toolchain import find_tool

_LIVES = 10_000
_SERVER = Path(__file__).parent / "inside" / "start.py"


class LocalProvider(Provider):
    """Runs the fork server as a plain child process: only for code that you trust."""

    name = "local"
    isolates = False
    _packages = ""

    async def prepare(self, progress: Progress) -> None:
        """Look for the task's tools and install its packages outside this Python.

        Args:
            progress: Called with a line per step.

        Raises:
            SandboxUnavailable: The task needs an image or runs agents, or a tool or
                package is missing.
        """
        if self.spec.image:
            raise SandboxUnavailable(
                "the local sandbox can't use a Docker image",
                "start Docker and use --sandbox docker",
            )
        if self.spec.shares_folder:
            raise SandboxUnavailable(
                "the local sandbox can't run agents: it does not isolate them from the "
                "network and the keys",
                "start Docker and use --sandbox docker, or bubblewrap",
            )
        for tool in self.spec.tools:
            find_tool(tool)
        if self.spec.packages:
            self._packages = str(
                await asyncio.to_thread(
                    packages_folder,
                    self.spec.packages,
                    progress,
                    builds=self.spec.builds,
                )
            )

    async def start(self) -> Box:
        """Start one fork server with a scratch directory on the host.

        Returns:
            The box.

        Raises:
            ProviderFault: It did not start.
        """
        scratch = tempfile.mkdtemp(prefix="evolve-local-")
        command = [
            interpreter(),
            str(_SERVER),
            *server_arguments(self.spec, first_uid=0, scratch=scratch),
        ]
        box = await spawn_box(LocalBox, command, server_environment(self._packages))
        box.scratch = scratch
        box.lives = 1 if self.spec.fresh else _LIVES
        return box

    async def close(self) -> None:
        """Do nothing: no resource is held."""


class LocalBox(ProcessBox):
    """A plain process with a scratch directory on the host."""

    scratch = ""

    async def kill(self) -> None:
        """End the process group, then delete the scratch directory."""
        await super().kill()
        await asyncio.to_thread(shutil.rmtree, self.scratch, True)
