"""Opening the database of a run: pragmas, migrations, readable errors."""

import os
import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from evolve.archive.attempts import add_median
from evolve.archive.errors import ArchiveError, Damaged, StorageFull, moved
from evolve.archive.schema import REVISION, metadata
from evolve.archive.whole import IMMUTABLE, reading_mode

IDS_AT_ONCE = 500


def in_batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """Split ids for queries: databases limit the number of parameters.

    Args:
        ids: Any number of ids.

    Yields:
        Up to `IDS_AT_ONCE` ids, in order.
    """
    left = iter(ids)
    while some := list(islice(left, IDS_AT_ONCE)):
        yield some


_MIGRATIONS = Path(__file__).parent / "migrations"
_FULL = (
    "disk is full",
    "readonly database",
    "read-only",
    "disk I/O error",
    "unable to open",
    "database is locked",
)
_DAMAGED = ("malformed", "not a database", "Could not decode", "corrupt")
_VERSION_TABLE = """CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,
                    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"""
_SHORT_WAIT_MS = 100  # blocks the event loop


def create_database(path: Path) -> Engine:
    """Create a database at the newest schema.

    Args:
        path: Its file.

    Returns:
        An engine that writes.

    Raises:
        StorageFull: The disk can't be written.
    """
    engine = _writing_engine(path)
    with storage_faults(path), engine.begin() as connection:
        # the result of all migrations, without the second that alembic takes
        metadata.create_all(connection)
        connection.exec_driver_sql(_VERSION_TABLE)
        connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{REVISION}')")
    return engine


def open_for_writing(path: Path) -> Engine:
    """Open a database for its only writer and migrate it to the newest schema.

    Args:
        path: Its file.

    Returns:
        An engine that writes.

    Raises:
        ArchiveError: It is not an archive, or is newer than this code.
        StorageFull: The migration can't be written.
    """
    engine = _writing_engine(path)
    if check_revision(engine, path) != REVISION:
        with storage_faults(path), engine.begin() as connection:
            from alembic import command
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return engine


def _writing_engine(path: Path) -> Engine:
    address = URL.create("sqlite", database=str(path))
    engine = create_engine(address, connect_args={"timeout": 10.0})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "connect", _add_functions)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def open_for_reading(path: Path) -> Engine:
    """Open a database for a view: it can't write and doesn't disturb a live run.

    Args:
        path: Its file.

    Returns:
        An engine that only reads.

    Raises:
        ArchiveError: It is missing, unreadable, not an archive, or of another schema.
    """
    if not path.exists():
        raise ArchiveError(f"{path} does not exist", "list the runs: evolve ls")
    # immutable=1 is for a directory without write permission
    for mode in dict.fromkeys((reading_mode(path), IMMUTABLE)):
        name, _, value = mode.partition("=")
        query = {name: value, "uri": "true"}
        place = path.absolute().as_uri()
        engine = create_engine(URL.create("sqlite", database=place, query=query))
        event.listen(engine, "connect", _add_functions)
        try:
            if check_revision(engine, path) != REVISION:
                raise ArchiveError(
                    f"{path} was written by an older version",
                    f"upgrade it: evolve upgrade {shlex.quote(str(path.parent))}",
                )
            return engine
        except OperationalError as error:
            failure = error
        except DatabaseError as error:
            raise Damaged(path, error.orig) from None
    raise ArchiveError(
        f"{path} can't be read: {failure.orig}", "is it a run's archive.db?"
    )


def check_revision(engine: Engine, path: Path) -> str:
    """Return the schema version of a database.

    Args:
        engine: An engine of the database.
        path: Its file, for messages.

    Returns:
        At most `REVISION`.

    Raises:
        ArchiveError: It is not an archive, or is newer than this code.
        DBAPIError: It can't be read.
    """
    try:
        with engine.connect() as connection:
            found = connection.execute(
                text("SELECT version_num FROM alembic_version")
            ).scalar()
    except DBAPIError as error:
        if "not a database" in str(error.orig):
            raise Damaged(path, error.orig) from None
        if "no such table" in str(error.orig):
            raise ArchiveError(
                f"{path} is not an archive of evolve", "was it copied completely?"
            ) from None
        raise
    if found is None or found > REVISION:
        raise ArchiveError(
            f"{path} was written by a newer version (schema {found}; this one reads "
            f"{REVISION})",
            "open it with that version of evolve",
        )
    return str(found)


@contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Context manager: turn a full, locked or read-only disk into an error for people.

    Args:
        path: File of the database.

    Raises:
        DatabaseError: An integrity error, unchanged: it is a bug in this program.
        StorageFull: The database can't be written.
        ArchiveError: The file is gone, or any other fault of the database.
    """
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, DatabaseError) else error
        if isinstance(cause, sqlite3.IntegrityError):
            raise  # a bug in this program, not a fault of the disk
        if not path.exists():
            raise moved(path) from None
        if any(sign in str(cause) for sign in _DAMAGED):
            raise Damaged(path, cause) from None
        if any(sign in str(cause) for sign in _FULL):
            raise StorageFull(
                f"{path} can't be written: {cause}",
                "free disk space or fix the permissions, then: evolve resume",
            ) from None
        raise ArchiveError(f"{path}: {cause}", "then: evolve resume") from None


def _add_functions(connection: Any, _: Any) -> None:
    add_median(connection)


def _set_pragmas(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy issues BEGIN, not the driver
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",  # a file of somebody else may hold views and triggers
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def do_not_wait_for_disk(connection: Connection) -> None:
    """Let commits of this connection return without waiting for the disk.

    A commit is then in the write-ahead log, in order, where killing the process can't
    undo it; `sync_log` makes it durable. A lock is waited for only briefly: the caller
    retries.

    Args:
        connection: The writer's connection.
    """
    driver = driver_of(connection)
    driver.execute("PRAGMA synchronous=NORMAL").close()
    driver.execute(f"PRAGMA busy_timeout={_SHORT_WAIT_MS}").close()


def sync_log(path: Path) -> None:
    """Wait until the write-ahead log is on disk.

    Args:
        path: File of the database.

    Raises:
        StorageFull: The log can't be written.
    """
    try:
        log = os.open(f"{path}-wal", os.O_RDONLY)
        try:
            os.fdatasync(log)
        finally:
            os.close(log)
    except OSError as error:
        raise StorageFull(
            f"{path} can't be written: {error.strerror}",
            "free disk space or fix the permissions, then: evolve resume",
        ) from None


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the driver's connection below SQLAlchemy's.

    Args:
        connection: A connection of SQLAlchemy.

    Returns:
        The connection of the `sqlite3` module.
    """
    driver: Any = connection.connection.driver_connection
    return cast(sqlite3.Connection, driver)


def _begin_immediate(connection: Connection) -> None:
    if not driver_of(connection).in_transaction:  # `Archive.together` may have begun it
        connection.exec_driver_sql("BEGIN IMMEDIATE")
