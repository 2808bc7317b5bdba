"""A host directory that one box sees read-only: files for it, and a service's socket.

Its name can't be guessed and its parent directory can't be listed, so that only this
box and the engine find the socket in it. Directories of a killed engine are removed by
the next one.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evolve.sandbox.errors import ProviderFault
from evolve.sandbox.owner import is_gone, this_process

MOUNT = "/shared"  # path inside the box
_UP_TO_THE_NAME = "evolve-shared"


def is_executable(content: bytes) -> bool:
    """Return whether a file is a script or a program, by its first bytes.

    Args:
        content: The file's.

    Returns:
        True for `#!` and ELF: the only files that get the bit in a sandbox.
    """
    return content.startswith((b"#!", b"\x7fELF"))


@dataclass(frozen=True)
class SharedFolder:
    """One directory, made before its box starts and removed after the box has ended."""

    path: Path

    @classmethod
    def make(cls) -> "SharedFolder":
        """Make a new directory.

        Returns:
            The directory, readable by every user.

        Raises:
            ProviderFault: It can't be written.
        """
        with _the_disk():
            path = _place() / f"{this_process()}-{secrets.token_hex(16)}"
            path.mkdir(mode=0o755)
            path.chmod(0o755)  # candidates run as other users
        return cls(path)

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        """Write a tree of files into a subdirectory.

        Args:
            name: Name of the subdirectory.
            files: Relative path -> content; the paths must have been checked. Scripts
                and programs become executable.

        Raises:
            ProviderFault: It can't be written.
        """
        with _the_disk():
            for path, data in files.items():
                target = self.path / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            for found in [self.path / name, *(self.path / name).rglob("*")]:
                executable = found.is_dir() or is_executable(found.read_bytes())
                found.chmod(0o755 if executable else 0o644)

    def remove(self) -> None:
        """Remove the directory with its content; harmless when it is gone."""
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned() -> int:
    """Remove directories of processes that have exited.

    Returns:
        Number of removed directories.

    Raises:
        ProviderFault: The parent directory can't be used.
    """
    removed = 0
    with _the_disk():
        place = _place()
    for path in place.iterdir():
        if is_gone(path.name.rpartition("-")[0]):
            SharedFolder(path).remove()
            removed += 1
    return removed


@contextlib.contextmanager
def _the_disk() -> Iterator[None]:
    """Context manager: turn errors of the disk into faults of the machine."""
    try:
        yield
    except OSError as error:
        raise ProviderFault(
            f"a folder for a sandbox can't be written: {error}",
            f"free disk space in {tempfile.gettempdir()}, or set TMPDIR to another folder",
        ) from None


def _place() -> Path:
    """Return this user's parent directory of shared directories.

    Others may pass through it, as the box runs as another user, but can't list it. Each
    process id namespace has a separate one, as process ids mean other processes there.

    Raises:
        PermissionError: The path belongs to another user, or is a symbolic link.
    """
    ids = os.stat("/proc/self/ns/pid").st_ino
    place = Path(tempfile.gettempdir()) / f"{_UP_TO_THE_NAME}-{os.geteuid()}-{ids}"
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o711)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise PermissionError(f"{place} belongs to another user")
    place.chmod(0o711)
    return place
