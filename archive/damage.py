"""Data that no archive holds: a damaged one gives values that can't be read."""

import sqlite3
import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from evolve.archive.errors import ArchiveError, Damaged

_OURS = str(Path(__file__).parent)
_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class Readable:
    """Context manager: turn what reading a damaged run raises into one error.

    Args:
        path: The database file of the run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise `ArchiveError` in place of errors of the database and of its values.

        Raises:
            ArchiveError: A file of the run can't be read.
            Damaged: The database, or a value in it, can't be read.
        """
        if isinstance(error, _UNREADABLE) and _came_from_archive(trace):
            raise Damaged(
                self._path, f"{type(error).__name__}: {error}"[:300]
            ) from None
        if isinstance(error, OSError) and _is_below(error.filename, self._path.parent):
            raise ArchiveError(
                f"{error.filename} can't be read: {error.strerror}",
                "does the run belong to another user, or was it copied incompletely?",
            ) from None
        if error is not None and type(error).__module__.startswith(_DATABASES):
            from evolve.archive.database import storage_faults

            with storage_faults(self._path):
                raise error


_DATABASES = (sqlite3.__name__, "sqlalchemy")


def _is_below(name: object, folder: Path) -> bool:
    return isinstance(name, str) and Path(name).is_relative_to(folder)


def _came_from_archive(trace: TracebackType | None) -> bool:
    """Return whether the code that parses the archive raised an error."""
    places = []
    while trace is not None:
        places.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return any(place.startswith(_OURS) for place in places)
