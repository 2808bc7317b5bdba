"""The cache of this machine: root file systems and packages, each made once.

An entry is a directory with a list of its files: one that was damaged, or half made, is
made again. Its modes do not depend on the umask, since the user of a sandbox reads it.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from evolve.sandbox.errors import SandboxUnavailable

VARIABLE = "EVOLVE_CACHE_DIR"
_KINDS = ("rootfs", "packages")
_LIST, _LOCK = _BESIDE = (".files", ".lock")  # they follow the name of an entry
_ERRNO = re.compile(r"\[Errno (\d{1,4})\]")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_folder() -> Path:
    """Return the directory of things that are made once on this machine.

    Returns:
        `EVOLVE_CACHE_DIR`, or a default: root's is world-readable, because the sandbox
        drops root. Where nothing can be written in the user's home directory, it is in
        that of temporary files.

    Raises:
        SandboxUnavailable: The one for temporary files belongs to another user.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/evolve")
    own = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if own.is_absolute() and _can_be_written(own / "evolve"):
        return own / "evolve"
    place = Path(tempfile.gettempdir()) / f"evolve-cache-{os.geteuid()}"
    with _disk(place), suppress(FileExistsError):
        place.mkdir(mode=0o700)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise SandboxUnavailable(
            f"{own} can't be written, and {place} belongs to another user",
            f"set {VARIABLE} to a directory of your own",
        )
    return place


def _can_be_written(path: Path) -> bool:
    """Return whether a directory can be used, or made."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK | os.X_OK)


def built_once(kind: str, key: str, fill: Callable[[Path], None]) -> Path:
    """Return an entry of the cache, which is filled on first use or if it is damaged.

    Args:
        kind: Kind of the entry.
        key: Name of the entry, a hash of all that it is made from.
        fill: Fills a new directory.

    Returns:
        The directory.

    Raises:
        SandboxUnavailable: The cache can't be written; names it and the reason.
    """
    target = cache_folder() / kind / key
    if is_whole(target):
        return target
    with _disk(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_one(target):
            if not is_whole(target):
                _build(target, fill)
    return target


def _build(target: Path, fill: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="building-", dir=target.parent) as staging:
        made, damaged = Path(staging) / "made", Path(staging) / "damaged"
        made.mkdir()
        fill(made)
        _open_to_all(made)
        _list_of(target).unlink(missing_ok=True)
        if target.exists():
            target.rename(damaged)
        made.rename(target)
        _list_of(target).write_text(_listing(target))


@contextmanager
def only_one(target: Path) -> Iterator[None]:
    """Context manager: wait while another process makes the same thing.

    Args:
        target: A path in the cache; its parent exists.
    """
    with target.with_name(f"{target.name}{_LOCK}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_whole(target: Path) -> bool:
    """Return whether an entry is as it was when it was made.

    Args:
        target: The entry.
    """
    try:
        return _list_of(target).read_text() == _listing(target)
    except OSError:
        return False


_State = tuple[int, int, int]


class Snapshot:
    """What a directory holds, to notice later that something was changed.

    Args:
        root: The directory.
    """

    def __init__(self, root: Path) -> None:
        self._folders: dict[str, _State] = {}
        self._files: dict[str, _State] = {}
        for folder, folders, files in os.walk(root):
            links = [name for name in folders if os.path.islink(f"{folder}/{name}")]
            paths = [f"{folder}/{name}" for name in (*files, *links)]
            self._folders[folder] = _state(folder)
            self._files |= {path: _state(path) for path in paths}

    def holds(self, thorough: bool) -> bool:
        """Return whether the directory is as it was.

        Args:
            thorough: Whether to look at each file; False: only at directories, whose
                times tell that a file was added or removed. That takes a tenth of the
                time.
        """
        known = self._folders | self._files if thorough else self._folders
        try:
            return all(_state(path) == state for path, state in known.items())
        except OSError:
            return False


def _state(path: str) -> _State:
    """Return the mode, size and time of a file or directory."""
    known = os.lstat(path)
    return known.st_mode, known.st_size, known.st_mtime_ns


def _list_of(target: Path) -> Path:
    return target.with_name(f"{target.name}{_LIST}")


def _listing(folder: Path) -> str:
    """Return a digest of names, modes, sizes and times of all files below a directory."""
    digest, folders, start = hashlib.sha256(), [str(folder)], len(str(folder))
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda found: found.name):
                known = entry.stat(follow_symlinks=False)
                is_folder = entry.is_dir(follow_symlinks=False)
                size = 0 if is_folder else known.st_size
                time = 0 if is_folder else known.st_mtime_ns
                digest.update(
                    f"{entry.path[start:].encode()!r} {known.st_mode} {size} {time}\n".encode()
                )
                folders += [entry.path] * is_folder
    return digest.hexdigest()


def _open_to_all(root: Path) -> None:
    """Let every user read a tree, whatever the umask is."""
    for folder, folders, files in os.walk(root):
        os.chmod(folder, 0o755)
        for path in (os.path.join(folder, name) for name in (*folders, *files)):
            if not os.path.islink(path):
                mode = os.stat(path).st_mode
                os.chmod(path, mode | 0o444 | (0o111 if mode & 0o100 else 0))


def open_the_way(path: Path) -> None:
    """Let the user that a sandbox of root becomes reach a path in the cache.

    Args:
        path: The path.

    Raises:
        SandboxUnavailable: A directory above the cache is closed to other users.
    """
    if os.geteuid() != 0:
        return
    for folder in path.parents:
        mode = folder.stat().st_mode
        if mode & 0o001:
            continue
        if not folder.is_relative_to(cache_folder()):
            raise SandboxUnavailable(
                f"{folder} is closed to other users, and a sandbox is one: it can't read "
                f"{path}",
                f"set {VARIABLE} to a directory that every user can read, such as "
                "/var/cache/evolve",
            )
        folder.chmod(mode | 0o055)


def require_executable(folder: Path, variable: str) -> None:
    """Check that programs in a directory can be started.

    Args:
        folder: An existing directory.
        variable: Environment variable that chooses it.

    Raises:
        SandboxUnavailable: Its file system is mounted with `noexec`.
    """
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise SandboxUnavailable(
            f"{folder} is on a file system that is mounted noexec: no program can be "
            "started there",
            f"set {variable} to a directory on another file system",
        )


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    """Context manager: turn errors of the disk into one for people."""
    try:
        yield
    except OSError as error:
        temporary = Path(tempfile.gettempdir())
        variable = VARIABLE
        # pip and others fill the directory of temporary files meanwhile
        if (
            _number(error) in _FULL
            and place.exists()
            and _free(temporary) < _free(place)
        ):
            place, variable = temporary, "TMPDIR"
        raise unwritable(place, error, variable) from None


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _number(error: OSError) -> int | None:
    """Return the number of an error; `shutil` reports several in one."""
    if error.errno is None and (found := _ERRNO.search(str(error)[:10_000])):
        return int(found[1])
    return error.errno


def unwritable(place: Path, error: OSError, variable: str) -> SandboxUnavailable:
    """Return the error for a directory that can't be written.

    Args:
        place: The directory.
        error: That of the system, or `shutil` for several files.
        variable: Environment variable that chooses it.

    Returns:
        An error with the place, the reason and the way out.
    """
    number = _number(error)
    reason = os.strerror(number) if number else str(error)[:200]
    full = f"free disk space there, or set {variable} to a directory on another disk"
    closed = f"set {variable} to a directory that you can write"
    return SandboxUnavailable(
        f"{place} can't be written: {reason}", full if number in _FULL else closed
    )


class Entry(NamedTuple):
    """Something in the cache, with the space that it takes."""

    path: Path
    size_bytes: int


def entries() -> list[Entry]:
    """Return all that is in the cache.

    Returns:
        Entries by kind and name.
    """
    place = cache_folder()
    paths = [path for kind in _KINDS for path in sorted((place / kind).glob("*"))]
    paths += [path for path in sorted(place.glob("*")) if path.name not in _KINDS]
    return [Entry(path, size_of(path)) for path in paths if path.suffix not in _BESIDE]


def remove(entry: Entry) -> None:
    """Remove an entry of the cache; it is made again when it is needed.

    Args:
        entry: The entry.

    Raises:
        SandboxUnavailable: It can't be removed.
    """
    with _disk(entry.path):
        if entry.path.is_dir() and not entry.path.is_symlink():
            shutil.rmtree(entry.path)
        else:
            entry.path.unlink(missing_ok=True)
        for suffix in _BESIDE:
            entry.path.with_name(entry.path.name + suffix).unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files below a directory.

    Args:
        path: The file or directory.

    Returns:
        Bytes.
    """
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, files in os.walk(path)
        for name in files
    )
