"""Statements that are written for every variant: compiled once, then handed to the driver as text.

That halves what SQLAlchemy costs for each row. Values reach the driver as they are, so they must be
plain: numbers, text, bytes, None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Insert, Update


class Prepared:
    """An INSERT or UPDATE of one row; its text depends on which columns are given."""

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._texts: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Write one row; returns the row id that an INSERT has given.

        Args:
            values: by column; "which" is the row that an UPDATE changes.
        """
        keys = tuple(values)
        if keys not in self._texts:
            self._texts[keys] = self._compile(connection, keys)
        text, names = self._texts[keys]
        result = connection.exec_driver_sql(text, tuple([values[name] for name in names]))
        return int(result.lastrowid or 0)

    def _compile(self, connection: Connection, keys: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        columns = [key for key in keys if key != "which"]
        compiled = self._statement.compile(dialect=connection.dialect, column_keys=columns)
        return str(compiled), tuple(compiled.positiontup or ())
