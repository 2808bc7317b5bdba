"""Statements that run for every variant: compiled once by SQLAlchemy, not each time.

The driver runs them directly: SQLAlchemy's execution costs several times the driver's.
Values reach the driver unchanged, so they must be plain: numbers, text, bytes, None.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Insert, Update

from evolve.archive.database import driver_of


class Prepared:
    """An INSERT or UPDATE of one row, compiled once per set of columns.

    Args:
        statement: An UPDATE names its row with the bind parameter "which".
    """

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._texts: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Write one row and return the row id that an INSERT assigned.

        Args:
            connection: Inside the transaction of `Archive.together`.
            values: By column; "which" is the row that an UPDATE changes.

        Returns:
            The row id; meaningless for an UPDATE.

        Raises:
            sqlite3.Error: The driver's error, which `storage_faults` translates.
        """
        keys = tuple(values)
        if keys not in self._texts:
            self._texts[keys] = self._compile(connection, keys)
        text, names = self._texts[keys]
        cursor = driver_of(connection).execute(text, [values[name] for name in names])
        return cursor.lastrowid or 0

    def _compile(
        self, connection: Connection, keys: tuple[str, ...]
    ) -> tuple[str, tuple[str, ...]]:
        columns = [key for key in keys if key != "which"]
        compiled = self._statement.compile(
            dialect=connection.dialect, column_keys=columns
        )
        return str(compiled), tuple(compiled.positiontup or ())
