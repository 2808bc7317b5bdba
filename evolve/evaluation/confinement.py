"""A scorer's process sees what it needs and can change nothing: bubblewrap around it, where that works.

A task's author may run what a candidate said (`eval` of its answer, an unpickled file), and then the
candidate is in the scorer's process. There it finds no network, no environment, no socket of a daemon,
empty homes and nothing that it may change; only its score is in its reach: see `evolve check`.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evolve.sandbox import SandboxUnavailable
from evolve.sandbox.bwrap import find_bwrap

_OURS = Path(__file__).parents[2]  # the folder that holds our packages
_HIDDEN = ("/tmp", "/var/tmp", "/run", "/home", "/root")
_TASK = "/run/task"
_COPY = f'cp -R {_TASK}/. "$0" && exec "$@"'
_COPIED_BYTES = 64 << 20  # a larger folder can only be read
_PROBE_S = 10.0
TRIES = 3


def confined(
    command: Sequence[str], folder: Path, needed: Iterable[Path], memory_bytes: int
) -> list[str]:
    """The command in the task's folder, of which it has a copy of its own.

    Of people's folders it sees what is `needed`. Each place that it may write to holds an eighth of
    `memory_bytes`, for that is memory, too. Without bubblewrap the command is as it was.
    """
    if not is_available():
        return list(command)
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


def is_available() -> bool:
    """Whether bubblewrap can make namespaces here."""
    try:
        return _makes_namespaces(find_bwrap())
    except SandboxUnavailable:
        return False


@functools.cache
def _makes_namespaces(program: str) -> bool:
    """Tried once for each `program`: which one it is follows from the environment."""
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
    """Whether bubblewrap itself failed, by what a process printed that did not begin.

    It shows the machine's mounts one by one; one that goes away meanwhile (a daemon makes and ends
    containers' own) is an error. The next try has another list.
    """
    return any(line.startswith(b"bwrap: ") for line in printed.splitlines())


def _walls(needed: Iterable[Path], place_bytes: int) -> list[str]:
    """Own processes and network; the machine's files to read; people's own folders empty.

    Raises `SandboxUnavailable` where there is no bwrap.
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
        for path in dict.fromkeys((*map(Path, _HIDDEN), Path.home()))
        if path.is_dir() and not path.is_symlink()
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
    """The links that lead from an interpreter to its binary, each with its target."""
    while path.is_symlink():
        target = os.readlink(path)
        yield path, target
        path = path.parent / target


def _scratch(folder: Path, size_bytes: int) -> list[str]:
    return ["--size", str(size_bytes), "--tmpfs", str(folder)]


def _shown(needed: Iterable[Path]) -> Iterator[Path]:
    """As it is named and as it is: an interpreter is often a link into another folder."""
    for path in (Path(sys.prefix), Path(sys.base_prefix), _OURS, *needed):
        yield path
        yield path.resolve()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
