"""Confinement of the scorer's process: by bubblewrap where it works, else by Landlock.

The scorer sees only the files that it needs, and can change nothing. A task's author
may execute a candidate's answer (`eval`, unpickling); then the candidate runs in the
scorer's process. There it finds no network, environment or daemon socket, empty home
folders and nothing that it may change. Only its score is within its reach: see `evolve
check`.
"""

import base64
import functools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from evolve.evaluation import landlock
from evolve.sandbox import SandboxUnavailable
from evolve.sandbox.bwrap import find_bwrap
from evolve.sandbox.seccomp import refuse_only
from evolve.trust.store import home_folder

_OURS = Path(__file__).parents[2]  # the folder of this package
_HIDDEN = ("/tmp", "/var/tmp", "/run", "/home", "/root")
# what Landlock shows besides Python, the task and its packages
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/proc", "/sys")
_TASK = "/run/task"
_COPY = f'cp -R {_TASK}/. "$0" && exec "$@"'
_COPIED_BYTES = 64 << 20  # a larger folder is mounted read-only
_PROBE_S = 10.0
TRIES = 3


def confined(
    command: Sequence[str],
    folder: Path,
    needed: Iterable[Path],
    memory_bytes: int,
    scratch: Path,
) -> list[str]:
    """Return a command that runs another one in a private copy of the task's folder.

    Args:
        command: the command to confine
        folder: the task's folder
        needed: further files and folders to show
        memory_bytes: limit of the scorer; each writable folder may hold an eighth of
            it, because it is memory, too
        scratch: a folder that it may change if Landlock confines it

    Returns:
        The confined command; the original one without bubblewrap and Landlock.
    """
    match how():
        case Confinement.NONE:
            return list(command)
        case Confinement.LANDLOCK:
            return _by_landlock(command, folder, needed, scratch)
    own, place_bytes = folder.resolve(), max(memory_bytes // 8, 2 * _COPIED_BYTES)
    if _size(own) > _COPIED_BYTES:
        return [
            *_walls((own, *needed), place_bytes),
            "--chdir",
            str(own),
            "--",
            *command,
        ]
    copied = [
        "--ro-bind",
        str(own),
        _TASK,
        *_scratch(own, place_bytes),
        "--chdir",
        str(own),
    ]
    return [
        *_walls(needed, place_bytes),
        *copied,
        "--",
        "sh",
        "-c",
        _COPY,
        str(own),
        *command,
    ]


class Confinement(StrEnum):
    """How the scorer's process is confined on this machine."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "Landlock"
    NONE = "none"


def how() -> Confinement:
    """Return the confinement that works here, the strongest first."""
    if is_available():
        return Confinement.BUBBLEWRAP
    try:
        refuse_only("socket")  # without it, a daemon's socket would be within reach
    except SandboxUnavailable:
        return Confinement.NONE
    return Confinement.LANDLOCK if landlock.version() else Confinement.NONE


def _by_landlock(
    command: Sequence[str], folder: Path, needed: Iterable[Path], scratch: Path
) -> list[str]:
    """Return the command below `landlock.py`, which reads the programs and the task."""
    shown = [*_shown((folder, *needed)), *map(Path, _PROGRAMS)]
    readable = ":".join(dict.fromkeys(map(str, shown)))
    launcher = [sys.executable, "-I", "-S", landlock.__file__]
    calls = base64.b64encode(
        refuse_only("socket")
    ).decode()  # it has its socket already
    return [*launcher, str(scratch), readable, calls, *command]


def is_available() -> bool:
    """Return whether bubblewrap can create namespaces here.

    Returns:
        False also if bubblewrap is not installed.
    """
    try:
        return _makes_namespaces(find_bwrap())
    except SandboxUnavailable:
        return False


@functools.cache
def _makes_namespaces(program: str) -> bool:
    """Try bubblewrap; cached per program, which follows from the environment."""
    command = [*_walls((), _COPIED_BYTES), "--", sys.executable, "-I", "-c", ""]
    try:
        return any(
            subprocess.run(
                command, capture_output=True, timeout=_PROBE_S, check=False
            ).returncode
            == 0
            for _ in range(TRIES)
        )
    except subprocess.TimeoutExpired:
        return False


def bwrap_failed(printed: bytes) -> bool:
    """Return whether bubblewrap itself failed.

    It mounts the machine's file systems one by one, and fails if one disappears
    meanwhile, for example one of a container. The next attempt sees another list.

    Args:
        printed: output of a process that did not start

    Returns:
        True if a line is an error message of bubblewrap.
    """
    return any(line.startswith(b"bwrap: ") for line in printed.splitlines())


def _walls(needed: Iterable[Path], place_bytes: int) -> list[str]:
    """Return bubblewrap's options: separate processes and network, read-only files.

    Home folders are empty. Raises `SandboxUnavailable` if bwrap is missing.
    """
    walls = [
        find_bwrap(),
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
    ]
    hidden = [
        path
        for path in dict.fromkeys((*map(Path, _HIDDEN), home_folder()))
        # False also for another user's home
        if os.path.isdir(path) and not os.path.islink(path)
    ]
    for folder in hidden:
        walls += _scratch(folder, place_bytes)
    shown = [path for path in dict.fromkeys(_shown(needed)) if _is_below(path, hidden)]
    for path in shown:
        walls += ["--ro-bind", str(path), str(path)]
    for link, target in _links(Path(sys.executable)):
        if _is_below(link, hidden) and not _is_below(link, shown):
            walls += ["--symlink", target, str(link)]
    for device in Path("/dev").glob("nvidia*"):
        walls += ["--dev-bind-try", str(device), str(device)]
    return [*walls, *_scratch(Path("/dev/shm"), place_bytes), "--remount-ro", "/dev"]


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _links(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the links from an interpreter to its binary, with their targets."""
    while path.is_symlink():
        target = os.readlink(path)
        yield path, target
        path = path.parent / target


def _scratch(folder: Path, size_bytes: int) -> list[str]:
    return ["--size", str(size_bytes), "--tmpfs", str(folder)]


def _shown(needed: Iterable[Path]) -> Iterator[Path]:
    """Yield each path and its target: an interpreter is often a symbolic link."""
    for path in (Path(sys.prefix), Path(sys.base_prefix), _OURS, *needed):
        yield path
        yield path.resolve()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
