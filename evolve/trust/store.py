"""The user's data directory: accepted digests, and the key that signs runs.

Both are files of mode 0600 in `$XDG_DATA_HOME/evolve`, by default `~/.local/share/evolve`.
"""

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evolve.errors import PrerequisiteError

_ACCEPTED, _KEY = "accepted", "key"
_KEY_BYTES = 32


def data_folder() -> Path:
    """Return the user's data directory, which need not exist."""
    given = os.environ.get("XDG_DATA_HOME")
    return (Path(given) if given else home_folder() / ".local/share") / "evolve"


def home_folder() -> Path:
    """Return the user's home directory; a path that does not exist if there is none."""
    home = Path(os.path.expanduser("~"))  # "~" if there is none
    return home if home.is_absolute() else Path("/nonexistent")


def digest_of_files(folder: Path, paths: list[Path]) -> str:
    """Return a digest of files: their names, modes and contents.

    Args:
        folder: The directory that holds them.
        paths: Paths relative to `folder`, sorted.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: A file can't be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        executable = os.access(folder / path, os.X_OK)
        head = f"{path.as_posix()}\0{executable}\0{(folder / path).stat().st_size}\0"
        digest.update(head.encode("utf-8", "surrogateescape"))
        add_content(digest, folder / path)
    return digest.hexdigest()


def add_content(digest: Any, path: Path) -> None:
    """Add the content of a file to a digest, without holding all of it in memory.

    Args:
        digest: Of `hashlib`.
        path: The file.

    Raises:
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)


def accept(digest: str) -> None:
    """Record that the user accepts the content with this digest.

    Args:
        digest: As `digest_of_files` returns it.

    Raises:
        PrerequisiteError: The data directory can't be written.
    """
    with _opened(_ACCEPTED, os.O_RDWR) as file:
        known = _read(file).split()
        if digest not in known:
            os.write(file, f"{digest}\n".encode())


def is_accepted(digest: str) -> bool:
    """Return whether the user has accepted the content with this digest.

    Args:
        digest: As `digest_of_files` returns it.

    Returns:
        False also if nothing was ever accepted.
    """
    try:
        return digest in (data_folder() / _ACCEPTED).read_text().split()
    except OSError:
        return False


def sign(message: bytes) -> str:
    """Return a code that only this user can compute (HMAC-SHA256, RFC 2104).

    Args:
        message: The signed content.

    Returns:
        64 hexadecimal digits.

    Raises:
        PrerequisiteError: The data directory can't be written.
    """
    return hmac.new(_key(), message, hashlib.sha256).hexdigest()


def is_signed(message: bytes, code: str) -> bool:
    """Return whether a code was computed by this user for this content.

    Args:
        message: The signed content.
        code: What `sign` returned.

    Returns:
        False also if the user has no key yet.
    """
    try:
        key = (data_folder() / _KEY).read_bytes()
    except OSError:
        return False
    expected = hmac.new(key, message, hashlib.sha256).hexdigest()
    return len(key) == _KEY_BYTES and hmac.compare_digest(
        expected.encode(), code.encode("utf-8", "replace")
    )


def _key() -> bytes:
    """Return the user's key, drawn on first use."""
    with _opened(_KEY, os.O_RDWR) as file:
        key = os.read(file, _KEY_BYTES + 1)
        if len(key) != _KEY_BYTES:
            key = secrets.token_bytes(_KEY_BYTES)
            os.ftruncate(file, 0)
            os.pwrite(file, key, 0)
            os.fsync(file)
        return key


@contextlib.contextmanager
def _opened(name: str, flags: int) -> Iterator[int]:
    """Open and lock a private file of the data directory, created if missing."""
    folder = data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(folder / name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise PrerequisiteError(
            f"can't write to {folder}: {error.strerror}",
            "set XDG_DATA_HOME to a directory of yours",
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.fchmod(file, 0o600)
        yield file
    finally:
        os.close(file)


def _read(file: int) -> str:
    """Return the content of an open file; the position is then at its end."""
    return os.read(file, os.fstat(file).st_size).decode()
