"""Regular files of an evaluator's temporary folder: they cross to a box, and back as data.

Nothing is mounted. A file that comes back never follows a link, never replaces a file that the box
was not given, and is of no kind that Python would load.
"""

import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath

MOST_FILES, MOST_BYTES = 1000, 16 << 20
_LOADED = (".py", ".pyc", ".pyo", ".pth", ".so", ".pyd")

Contents = dict[str, tuple[bytes, bool]]
"""Path below the folder -> content, and whether it can be executed."""


class TooMuch(ValueError):
    """There are more files, or more bytes, than may cross."""


def digest(data: bytes) -> str:
    """Return a short hash of a file's content."""
    return blake2b(data, digest_size=16).hexdigest()


def regular_files(folder: Path) -> Contents:
    """Return the regular files of a folder; links are left out.

    Args:
        folder: The folder.

    Returns:
        Its files.

    Raises:
        TooMuch: They are too many or too large.
    """
    found: Contents = {}
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            total += path.lstat().st_size
            if len(found) >= MOST_FILES or total > MOST_BYTES:
                raise TooMuch(_limits())
            data = path.read_bytes()
            inner = path.relative_to(folder).as_posix()
            found[inner] = data, os.access(path, os.X_OK)
    return found


def bring_back(folder: Path, given: Contents, found: Mapping[str, object]) -> Contents:
    """Write the new and changed files of a box.

    Args:
        folder: Folder of the evaluator.
        given: Its files that the box was given.
        found: Path -> content and executable; a claim.

    Returns:
        The files that were written.

    Raises:
        TooMuch: They are too many or too large.
        ValueError: They are not files.
    """
    taken: Contents = {}
    for path, claim in found.items():
        data, executable = _checked(claim)
        if given.get(path) == (data, executable) or not _may_come(folder, path, given):
            continue
        taken[path] = data, executable
        if len(taken) > MOST_FILES or _size(taken) > MOST_BYTES:
            raise TooMuch(_limits())
    for path, (data, executable) in taken.items():
        _write(folder / path, data, executable)
    return taken


def _limits() -> str:
    return f"more than {MOST_FILES} files or {MOST_BYTES >> 20} MB"


def _size(contents: Contents) -> int:
    return sum(len(data) for data, _ in contents.values())


def _checked(claim: object) -> tuple[bytes, bool]:
    match claim:
        case (bytes(data), bool(executable)):
            return data, executable
    raise ValueError("a file without content")


def _may_come(folder: Path, path: str, given: Contents) -> bool:
    """Return whether a file may be written: it lies inside, and replaces nothing unknown."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path or not pure.parts:
        return False
    if pure.suffix.lower() in _LOADED or "__pycache__" in pure.parts:
        return False
    target = folder / path
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        return False
    return path in given or not os.path.lexists(target)


def _write(target: Path, data: bytes, executable: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(target, flags, 0o600), "wb") as file:
        file.write(data)
    target.chmod(0o700 if executable else 0o600)
