"""A folder of the host's that one box sees, read-only: files for it, and the socket of a service.

It has a name that nobody can guess, in a place that can't be listed, so that only this box and the
engine find the socket in it. What an engine that was killed left behind is removed by the next one.
"""

from __future__ import annotations

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

MOUNT = "/shared"  # where the box sees it
_UP_TO_THE_NAME = "evolve-shared"


@dataclass(frozen=True)
class SharedFolder:
    """One folder, made before its box starts and removed after the box has ended."""

    path: Path

    @classmethod
    def make(cls) -> SharedFolder:
        """A fresh one. Raises `ProviderFault`."""
        with _the_disk():
            path = _place() / f"{this_process()}-{secrets.token_hex(16)}"
            path.mkdir(mode=0o755)
            path.chmod(0o755)  # candidates are other users
        return cls(path)

    def write(self, name: str, files: Mapping[str, bytes]) -> None:
        """Put a tree into a folder of that name; its paths must have been checked.

        Raises `ProviderFault`.
        """
        with _the_disk():
            for path, data in files.items():
                target = self.path / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            for found in [self.path / name, *(self.path / name).rglob("*")]:
                executable = found.is_dir() or found.read_bytes()[:2] == b"#!"
                found.chmod(0o755 if executable else 0o644)

    def remove(self) -> None:
        """Remove it with all that is in it; harmless when it is gone."""
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned() -> int:
    """Remove folders whose process is gone; returns how many."""
    removed = 0
    for path in _place().iterdir():
        if is_gone(path.name.rpartition("-")[0]):
            SharedFolder(path).remove()
            removed += 1
    return removed


@contextlib.contextmanager
def _the_disk() -> Iterator[None]:
    """What it refuses is the machine's fault."""
    try:
        yield
    except OSError as error:
        raise ProviderFault(
            f"a folder for a sandbox can't be written: {error}",
            f"is there room in {tempfile.gettempdir()}? TMPDIR names another place",
        ) from None


def _place() -> Path:
    """This user's; others may go through it, for the box is another user, and may list nothing.

    Where process ids mean other processes, it is another place.
    """
    ids = os.stat("/proc/self/ns/pid").st_ino
    place = Path(tempfile.gettempdir()) / f"{_UP_TO_THE_NAME}-{os.geteuid()}-{ids}"
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o711)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise PermissionError(f"{place} belongs to somebody else")
    place.chmod(0o711)
    return place
