"""The contract of a sandbox provider: it starts boxes; a box holds one fork server.

A fault of the provider is a `ProviderFault`, never the candidate's. The promises of
every provider are in `evolve.sandbox.contract`, a test class that a third-party
provider can subclass.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from evolve.sandbox.errors import ProviderFault, SandboxError, machine_faults
from evolve.sandbox.folder import SharedFolder
from evolve.sandbox.limits import Limits
from evolve.sandbox.packets import PacketStream

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImageBuild:
    """An image that Docker builds from a task's Dockerfile.

    Attributes:
        dockerfile: Path of the file.
        files: Files that it may copy, relative to its folder; nothing else is in the
            build's context.
        network: Whether its steps may use the network.
    """

    dockerfile: Path
    files: tuple[str, ...] = ()
    network: bool = False

    def __str__(self) -> str:
        return str(self.dockerfile)


@dataclass(frozen=True)
class SandboxSpec:
    """The requirements of a task for its sandbox.

    Attributes:
        packages: pip requirements.
        builds: Names of those that are built from source.
        tools: Commands of this machine that candidates may run, such as gcc.
        preload: Modules that the fork server imports before it forks.
        image: A Docker image, by name or to be built; None: made from this machine's
            Python.
        fresh: Whether each candidate gets a new box instead of a warm one.
        shares_folder: Whether each box sees a separate directory of the host,
            read-only.
        runtime: OCI runtime of Docker's containers, such as runsc; empty: its default.
    """

    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ()
    builds: tuple[str, ...] = field(default=(), kw_only=True)
    tools: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    image: str | ImageBuild | None = None
    fresh: bool = False
    shares_folder: bool = False
    runtime: str = ""


class Box(ABC):
    """A started sandbox with a fork server in it.

    Attributes:
        packets: The connection to the fork server.
        lives: How many more candidates it may serve, each after a clean end of the one
            before.
        folder: Directory that the host shows to this box alone; None without one.
        generation: That of the provider when it was started.
    """

    generation = 0
    packets: PacketStream
    lives: int = 1
    folder: SharedFolder | None = None

    @abstractmethod
    async def kill(self) -> None:
        """End all processes inside; harmless when they have ended."""

    async def end(self) -> None:
        """Kill the box; what the system refuses now, the next start cleans up."""
        with contextlib.suppress(ProviderFault), machine_faults("a sandbox's end"):
            await self.kill()

    @abstractmethod
    async def explain_death(self) -> SandboxError:
        """Return why the server exited on its own.

        Returns:
            A `CandidateFault` or a `ProviderFault`.
        """


class Provider(ABC):
    """Starts boxes on this machine.

    Attributes:
        name: Its name in messages.
        isolates: Whether candidates are kept from the host.
        generation: How often what boxes are made of has been made again.

    Args:
        spec: The requirements of the task.
    """

    generation = 0
    name: str
    isolates: bool

    def __init__(self, spec: SandboxSpec) -> None:
        self.spec = spec

    @abstractmethod
    async def prepare(self, progress: Progress) -> None:
        """Build everything that boxes need.

        Args:
            progress: Called with a line per step.

        Raises:
            SandboxUnavailable: A prerequisite is missing; the hint names the fix.
        """

    @abstractmethod
    async def start(self) -> Box:
        """Start a box.

        Returns:
            The box, with its fork server ready.

        Raises:
            ProviderFault: It did not start.
        """

    async def check(self, thorough: bool = True) -> None:  # noqa: B027 - not all need it
        """Check after a failure what boxes are made of; make it again if it is damaged.

        Then `generation` is another one, and boxes of earlier ones are not used.

        Args:
            thorough: Whether to look at all of it, or only at what takes no time.

        Raises:
            ProviderFault: It can't be made again.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release the resources of `prepare`; boxes are killed by their owners."""


def server_arguments(
    spec: SandboxSpec, *, first_uid: int, scratch: str = ""
) -> list[str]:
    """Return the command line of `inside/start.py`, without the interpreter.

    Args:
        spec: The requirements of the task.
        first_uid: User id of the first candidate, increased by one for the next; 0: all
            candidates keep the server's user id.
        scratch: A private directory on the host, for a provider that isolates nothing.

    Returns:
        The arguments.
    """
    limits = spec.limits
    arguments = [
        "--first-uid",
        str(first_uid),
        "--memory-bytes",
        str(limits.memory_bytes),
        "--output-bytes",
        str(limits.output_bytes),
        "--disk-bytes",
        str(limits.disk_bytes),
        "--files",
        str(limits.files),
        "--processes",
        str(limits.processes),
        "--scratch",
        scratch,
    ]
    if spec.fresh:
        arguments.append("--once")
    return [*arguments, "--preload", *spec.preload] if spec.preload else arguments


ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
}
"""Environment in which libraries for arrays use one thread."""


def server_environment(extra_path: str = "") -> dict[str, str]:
    """Return the whole environment inside; nothing is inherited from the host.

    Args:
        extra_path: Value of PYTHONPATH; empty: not set.

    Returns:
        Name -> value.
    """
    environment = ONE_THREAD | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return environment | ({"PYTHONPATH": extra_path} if extra_path else {})
