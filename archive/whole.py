"""A database that is whole in one file, and one that needs its write-ahead log."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

IMMUTABLE = "immutable=1"
# the last of these bytes marks a database that is read through a write-ahead log
_HEADER_BYTES, _WAL_VERSION = 20, b"\x02"
_WAIT_S = 0.1


def reading_mode(path: Path) -> str:
    """Return how to open a database so that no file is left over.

    Reading through a write-ahead log makes files; without one there is none to read.

    Args:
        path: Its file.

    Returns:
        A parameter of the database's address.
    """
    try:
        with path.open("rb") as file:
            has_log = file.read(_HEADER_BYTES)[-1:] == _WAL_VERSION
        return IMMUTABLE if has_log and not needs_log(path) else "mode=ro"
    except OSError:
        return "mode=ro"


def needs_log(path: Path) -> bool:
    """Return whether a database is whole only together with its write-ahead log.

    Args:
        path: Its file.
    """
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def make_whole(path: Path) -> None:
    """Move the write-ahead log into a database, which is then a whole in one file.

    Where a view has it open, the log stays as an empty file.

    Args:
        path: Its file; no process writes it now.
    """
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection,
    ):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        connection.execute("PRAGMA journal_mode=DELETE").close()
