"""A control group for one bubblewrap box: kernel limits on total memory and processes.

It is made where this process may make one: as root, or in a subtree that was delegated
to this user. Elsewhere the user's systemd may make one (`scope.py`), else the box is
watched. Version 1 has a hierarchy for each controller, version 2 one for all.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evolve.sandbox.owner import is_gone, this_process

COUNTERS = "/sys/fs/cgroup"  # mount point inside a box
PREFIX = "evolve-"
_REMOVE_PATIENCE_S = 2.0
_numbers = itertools.count()


@dataclass(frozen=True)
class Cgroup:
    """The directories of one control group.

    Attributes:
        folders: One, or one per controller in version 1; none if systemd makes it.
        memory: The directory that counts kills for memory.
        version: 1 or 2.
        starts: Beginning of a command that starts in the group; empty if the process
            joins by itself.
    """

    folders: tuple[Path, ...]
    memory: Path
    version: int
    starts: tuple[str, ...] = ()

    @property
    def entries(self) -> list[str]:
        """The files that a process writes to in order to join."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    @property
    def seen_at(self) -> str:
        """The path of the kill counter inside a box, for `inside/traces.py`."""
        return f"{COUNTERS}/memory" if self.version == 1 else COUNTERS

    def memory_kills(self) -> int:
        """Return how many of its processes the kernel killed for lack of memory.

        Returns:
            The counter; 0 if it can't be read.
        """
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with contextlib.suppress(OSError):
            for line in (self.memory / name).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Remove the group once its processes are gone, waiting up to two seconds.

        Directories that are still in use are left to `CgroupRoot.remove_abandoned`.
        """
        deadline = time.monotonic() + _REMOVE_PATIENCE_S
        left = [folder for folder in self.folders if not _removed(folder)]
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = [folder for folder in left if not _removed(folder)]


@dataclass(frozen=True)
class CgroupRoot:
    """The directories in which this process may make control groups."""

    version: int
    memory: Path
    pids: Path

    def make(self, memory_bytes: int, processes: int) -> Cgroup:
        """Make a control group.

        Args:
            memory_bytes: Limit on total memory; swap is not allowed beyond it.
            processes: Limit on processes and threads.

        Returns:
            The group.

        Raises:
            OSError: The kernel refuses it.
        """
        name = f"{PREFIX}{this_process()}-{next(_numbers)}"
        folders = tuple(dict.fromkeys((self.memory / name, self.pids / name)))
        for folder in folders:
            folder.mkdir()
        made = Cgroup(folders, folders[0], self.version)
        try:
            if self.version == 1:
                _write(made.memory / "memory.limit_in_bytes", memory_bytes)
                _write_if_there(
                    made.memory / "memory.memsw.limit_in_bytes", memory_bytes
                )
            else:
                _write(made.memory / "memory.max", memory_bytes)
                _write_if_there(made.memory / "memory.swap.max", 0)
            _write(folders[-1] / "pids.max", processes)
        except OSError:
            made.remove()
            raise
        return made

    def remove_abandoned(self) -> None:
        """Remove control groups that belong to an engine that has exited."""
        for parent in {self.memory, self.pids}:
            for folder in parent.glob(f"{PREFIX}*"):
                if is_gone(folder.name.removeprefix(PREFIX).rpartition("-")[0]):
                    _removed(folder)


def find_root(root: Path = Path("/")) -> CgroupRoot | None:
    """Return the place where control groups with both limits can be made.

    Args:
        root: Directory that holds `proc`; other than "/" only in tests.

    Returns:
        The first place where a trial group could be made; None if there is none.
    """
    for candidate in _candidates(root):
        try:
            candidate.make(1 << 30, 100).remove()
        except OSError:
            continue
        return candidate
    return None


def _candidates(root: Path) -> Iterator[CgroupRoot]:
    mounts, own = mount_points(root), _own_paths(root)
    if "memory" in mounts and "pids" in mounts:
        for memory, pids in ((own.get("memory", ""), own.get("pids", "")), ("", "")):
            yield CgroupRoot(1, mounts["memory"] / memory, mounts["pids"] / pids)
    if "" in mounts:
        here = mounts[""] / own.get("", "")
        for folder in dict.fromkeys((here.parent if own.get("") else here, mounts[""])):
            yield CgroupRoot(2, folder, folder)


def mount_points(root: Path) -> dict[str, Path]:
    """Return where control groups are mounted.

    Args:
        root: Directory that holds `proc`; other than "/" only in tests.

    Returns:
        Mount points by controller; "" is version 2.
    """
    found: dict[str, Path] = {}
    for line in _lines(root / "proc/self/mountinfo"):
        fields, _, more = line.partition(" - ")
        kind, _, options = more.split(" ", 2)
        if kind == "cgroup2":
            found.setdefault("", Path(fields.split()[4]))
        elif kind == "cgroup":
            found |= {
                name: Path(fields.split()[4])
                for name in options.split(",")
                if name in ("memory", "pids")
            }
    return found


def _own_paths(root: Path) -> dict[str, str]:
    """Return the control group of this process by controller; "" is version 2."""
    found: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        found |= {name: path.lstrip("/") for name in controllers.split(",")}
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _write(path: Path, value: int) -> None:
    path.write_text(str(value))


def _write_if_there(path: Path, value: int) -> None:
    if path.exists():
        _write(path, value)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # some of its processes have not ended yet
        return False
    return True
