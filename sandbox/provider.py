"""The contract of a sandbox provider: it starts boxes; a box holds one fork server.

A provider's fault is a `ProviderFault`, never the candidate's. What every provider promises is in
`evolve.sandbox.contract`, a test class that a third provider can subclass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from evolve.sandbox.errors import SandboxError
from evolve.sandbox.folder import SharedFolder
from evolve.sandbox.limits import Limits
from evolve.sandbox.packets import PacketStream

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SandboxSpec:
    """What a task needs of its sandbox."""

    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ()
    # commands of this machine that candidates may run, like gcc
    tools: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    image: str | None = None  # None: the rootfs made from this machine's own Python
    fresh: bool = False  # a box for each candidate instead of a warm one
    # each box sees a folder of the host's, its own one, read-only
    shares_folder: bool = False


class Box(ABC):
    """A started sandbox with a fork server in it."""

    packets: PacketStream
    # how many candidates it may serve, each after a clean end of the one before
    lives: int = 1
    folder: SharedFolder | None = None  # what the host shows to this box alone

    @abstractmethod
    async def kill(self) -> None:
        """End everything inside; harmless when it has ended."""

    @abstractmethod
    async def explain_death(self) -> SandboxError:
        """Why the server went away by itself: a candidate's or a provider's fault."""


class Provider(ABC):
    """Starts boxes on this machine."""

    name: str
    isolates: bool

    def __init__(self, spec: SandboxSpec) -> None:
        self.spec = spec

    @abstractmethod
    async def prepare(self, progress: Progress) -> None:
        """Build what boxes need. Raises `SandboxUnavailable` with the fix."""

    @abstractmethod
    async def start(self) -> Box:
        """Start a box. Raises `ProviderFault`."""

    @abstractmethod
    async def close(self) -> None:
        """Release what `prepare` took; boxes are killed by their owners."""


def server_arguments(
    spec: SandboxSpec, *, first_uid: int, scratch: str = ""
) -> list[str]:
    """The command line of `inside/start.py`, without the interpreter."""
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


def server_environment(extra_path: str = "") -> dict[str, str]:
    """The whole environment inside; nothing of the host's comes along."""
    threads = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    environment = {f"{name}_NUM_THREADS": "1" for name in threads}
    environment |= {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return environment | ({"PYTHONPATH": extra_path} if extra_path else {})
