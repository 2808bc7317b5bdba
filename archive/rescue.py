"""Saving the readable rows of a damaged archive into a new one.

Rows come from the pages of the file. A row that others name but that is lost gets a
placeholder with the tree of its ref in the repository.
"""

import json
import math
import re
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, Table

from evolve.archive.code import CodeStore
from evolve.archive.database import create_database
from evolve.archive.decision import Kind
from evolve.archive.errors import ArchiveError
from evolve.archive.pages import Cell, Pages, Unreadable, Value
from evolve.archive.reader import pack_text, unpack_text
from evolve.archive.records import (
    AddStatus,
    CallPurpose,
    CallState,
    State,
    derive_id,
)
from evolve.archive.schema import metadata
from evolve.archive.whole import make_whole

LOST = "lost"  # reason, and operator, of lost rows
_ID = re.compile(r"[a-z2-7]{16}")
_SHA = re.compile(r"[0-9a-f]{40}")
_FEWEST_COLUMNS = 0.6  # of a table; rows of earlier versions have fewer
_FURTHER = 1000  # decision numbers tried beyond the highest known one
_SCHEMA_COLUMNS = 5

_Row = dict[str, Any]


def _is_object(value: Any) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, TypeError, RecursionError):
        return False


def _is_packed(value: Any) -> bool:
    try:
        unpack_text(value)
    except (zlib.error, ValueError, TypeError):
        return False
    return True


def _one_of(known: Iterable[Any]) -> Callable[[Any], bool]:
    words = {str(word) for word in known}
    return lambda value: value in words


# Column -> whether a value can be one of it, and the value in place of another one; a row
# with another value is not one if there is none.
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], Any]] = {
    "proposals.id": (lambda v: bool(_ID.fullmatch(v)), ...),
    "proposals.state": (_one_of(State), ...),
    "proposals.kind": (_one_of(Kind), Kind.EXPAND.value),
    "proposals.kept": (_one_of(AddStatus), None),
    "proposals.tree": (lambda v: bool(_SHA.fullmatch(v)), None),
    "proposals.commit": (lambda v: bool(_SHA.fullmatch(v)), None),
    "proposals.decision": (_is_object, "{}"),
    "proposals.measures": (_is_object, "{}"),
    "vectors.proposal": (lambda v: bool(_ID.fullmatch(v)), ...),
    "parents.child": (lambda v: bool(_ID.fullmatch(v)), ...),
    "parents.parent": (lambda v: bool(_ID.fullmatch(v)), ...),
    "evaluations.proposal": (lambda v: bool(_ID.fullmatch(v)), ...),
    "evaluations.split": (_one_of(("search", "select", "heldout")), ...),
    "evaluations.metrics": (_is_object, "{}"),
    "calls.proposal": (lambda v: bool(_ID.fullmatch(v)), ...),
    "calls.state": (_one_of(CallState), CallState.UNCERTAIN.value),
    "calls.purpose": (_one_of(CallPurpose), CallPurpose.PROPOSE.value),
    "calls.request": (_is_packed, pack_text("{}")),
    "calls.reply": (_is_packed, None),
    "events.data": (_is_object, "{}"),
}


class Rescued(NamedTuple):
    """The result for one table.

    Attributes:
        saved: Number of rows in the new archive.
        lost: Number of rows that are known to be missing, at least.
    """

    saved: int
    lost: int


@dataclass
class _Found:
    """The rows of one table, by key, and the highest row number that was seen."""

    rows: dict[tuple[Any, ...], _Row] = field(default_factory=dict)
    highest: int = 0


def rescue(
    database: Path, code: Path, target: Path, facts: Mapping[str, str]
) -> dict[str, Rescued]:
    """Save the readable rows of an archive into a new one.

    Args:
        database: The damaged file; it is not changed.
        code: The repository with the code of its variants.
        target: The new file.
        facts: Facts about the run, in place of lost ones.

    Returns:
        The result by table.

    Raises:
        ArchiveError: The file can't be read at all.
        StorageFull: The new one can't be written.
    """
    try:
        pages = Pages(database)
    except OSError as error:
        raise ArchiveError(f"{database} can't be read: {error.strerror}") from None
    found = _rows_of(pages)
    lost = {name: _missing(table) for name, table in found.items()}
    for key, value in facts.items():
        found["meta"].rows.setdefault((key,), {"key": key, "value": value})
    refs = _refs(code)
    _check_trees(found["proposals"], code, refs)
    placeholders = _complete(found, refs)
    lost["proposals"] = max(lost["proposals"], placeholders)
    _write(target, found)
    return {
        name: Rescued(
            len(table.rows) - (placeholders if name == "proposals" else 0), lost[name]
        )
        for name, table in found.items()
    }


def _rows_of(pages: Pages) -> dict[str, _Found]:
    """Return the rows of all tables; those that a tree leads to come first."""
    found = {table.name: _Found() for table in metadata.sorted_tables}
    owners: dict[int, str] = {}
    for name, root in _roots(pages):
        if name in found:
            owners |= dict.fromkeys(pages.reachable(root), name)
    free = pages.free() - owners.keys()
    leaves = [number for number in pages.leaves() if number not in free]
    for number in sorted(leaves, key=lambda number: number not in owners):
        cells = list(pages.cells(number))
        # they are in order; other numbers come from damage
        in_order = all(a.rowid < b.rowid for a, b in pairwise(cells))
        for cell in cells:
            table = _table_of(cell, owners.get(number))
            row = None if table is None else _row(table, cell)
            if table is None or row is None:
                continue
            place = found[table.name]
            place.rows.setdefault(_key(table, row), row)
            if in_order and cell.rowid < _MOST_ROWS:
                place.highest = max(place.highest, cell.rowid)
    return found


_MOST_ROWS = 1 << 32


def _roots(pages: Pages) -> Iterator[tuple[str, int]]:
    """Yield the tables of the schema with the first pages of their trees."""
    with suppress(Unreadable, KeyError, IndexError):
        for number in pages.reachable(1):
            for cell in pages.cells(number):
                if len(cell.values) == _SCHEMA_COLUMNS and cell.values[0] == "table":
                    _, name, _, root, _ = cell.values
                    if isinstance(name, str) and isinstance(root, int):
                        yield name, root


def _table_of(cell: Cell, owner: str | None) -> Table | None:
    """Return the table that fits a row best: that of its page, or another."""
    fitting = [
        table
        for table in metadata.sorted_tables
        if _FEWEST_COLUMNS * len(table.columns) <= cell.columns <= len(table.columns)
        and all(map(_fits, table.columns, cell.values))
    ]
    return min(fitting, key=lambda t: (t.name != owner, len(t.columns)), default=None)


def _is_number(column: Column[Any]) -> bool:
    return isinstance(column.type, Float)


def _fits(column: Column[Any], value: Value) -> bool:
    """Return whether a value can be one of a column."""
    if value is None:
        return bool(column.nullable) or _is_rowid(column)
    if isinstance(column.type, Boolean):
        return value in (0, 1)
    if isinstance(column.type, Float):
        return isinstance(value, int | float)
    if isinstance(column.type, Integer):
        return isinstance(value, int)
    return isinstance(value, bytes if isinstance(column.type, LargeBinary) else str)


def _is_rowid(column: Column[Any]) -> bool:
    """Return whether a column is the number of the row, which is not stored in it."""
    keys = list(column.table.primary_key.columns)
    return keys == [column] and isinstance(column.type, Integer)


def _row(table: Table, cell: Cell) -> _Row | None:
    """Return a row with a value for each column; None if it can't be one."""
    values = [*cell.values, *[None] * (len(table.columns) - len(cell.values))]
    row: _Row = {}
    for column, value in zip(table.columns, values, strict=True):
        if _is_rowid(column):
            row[column.name] = cell.rowid
            continue
        fits, instead = _CHECKS.get(
            f"{table.name}.{column.name}", (_is_finite, _default(column))
        )
        if value is None and column.nullable:
            row[column.name] = None
        elif value is not None and _fits(column, value) and fits(value):
            row[column.name] = value
        elif instead is ...:
            return None
        else:
            row[column.name] = instead
    if table.name == "events" and not _has_data(row, values[-1]):
        row["kind"] = LOST
    if table.name == "evaluations" and row["score"] is None and row["reason"] is None:
        row |= {"reason": LOST, "message": "its score was in a damaged part"}
    return row


# kind of an event -> keys of its data
_DATA: Mapping[str, Mapping[str, Any]] = {
    "planned": {"number": int},
    "call": {"state": str, "model": str, "cost_usd": int | float},
    "steered": {"verb": str, "text": str},
    "stopped": {"reason": str},
    "waiting": {"message": str},
    "signs": {"variant": str, "signs": str},
    "confirmed": {"variant": str, "look": int, "finding": dict},
}


def _has_data(row: _Row, data: Value) -> bool:
    """Return whether the data of an event is whole."""
    if not _is_object(data):
        return False
    found = json.loads(row["data"])
    kinds = _DATA.get(row["kind"], {})
    return all(isinstance(found.get(key), kind) for key, kind in kinds.items())


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _default(column: Column[Any]) -> Any:
    """Return the value in place of one that can't be read."""
    if column.nullable:
        return None
    if isinstance(column.type, LargeBinary):
        return b""
    if isinstance(column.type, Float):
        return 0.0
    return 0 if isinstance(column.type, Integer | Boolean) else ""


def _key(table: Table, row: _Row) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key.columns)


def _missing(found: _Found) -> int:
    """Return how many rows are missing: rows are numbered from 1, and none is deleted."""
    return max(0, found.highest - len(found.rows))


class _Ref(NamedTuple):
    """Code of a variant, and that of its parents."""

    tree: str
    commit: str
    parents: tuple[str, ...]


def _refs(code: Path) -> dict[str, _Ref]:
    """Return the code of each variant that the repository names."""
    found: dict[str, _Ref] = {}
    try:
        store = CodeStore.open(code)
    except ArchiveError:
        return found
    with closing(store):
        for name, commit in store.refs().items():
            with suppress(ArchiveError):
                found[name] = _Ref(*store.described(commit))
    return found


def _check_trees(proposals: _Found, code: Path, refs: Mapping[str, _Ref]) -> None:
    """Replace trees that the repository does not have by those of the refs, or none."""
    try:
        store = CodeStore.open(code)
    except ArchiveError:
        return
    with closing(store):
        for row in proposals.rows.values():
            try:
                if row["tree"] is not None:
                    store.files(row["tree"])
            except ArchiveError:
                ref = refs.get(row["id"])
                row["tree"] = ref.tree if ref and ref.tree != row["tree"] else None


def _complete(found: dict[str, _Found], refs: Mapping[str, _Ref]) -> int:
    """Add placeholders for lost proposals, and make the others fit what is there.

    Returns:
        Number of placeholders.
    """
    proposals = found["proposals"].rows
    named = {
        row[column]
        for table, column in _NAMING
        for row in found[table].rows.values()
        if row[column] is not None and _ID.fullmatch(row[column])
    }
    named |= {name for name in refs if _ID.fullmatch(name)}
    numbers = _numbers(found, named)
    _drop_doubles(proposals, numbers)
    added = 0
    taken = {row["number"] for row in proposals.values()}
    free = count(max([*taken, *numbers.values()], default=0) + 1)
    for name in sorted(named - {key[0] for key in proposals}):
        number = next(free) if numbers[name] in taken else numbers[name]
        taken.add(number)
        proposals[name,] = _placeholder(name, number, refs.get(name))
        added += 1
    _relate(found, refs)
    _settle(found)
    return added


_NAMING = (
    ("parents", "child"),
    ("parents", "parent"),
    ("evaluations", "proposal"),
    ("calls", "proposal"),
    ("vectors", "proposal"),
    ("events", "proposal"),
)


def _numbers(found: Mapping[str, _Found], named: set[str]) -> dict[str, int]:
    """Return the decision number of each proposal, from its row, an event, or its id."""
    numbers: dict[str, int] = {}
    for row in found["events"].rows.values():
        said = json.loads(row["data"]).get("number")
        if row["proposal"] in named and type(said) is int and 0 <= said < _MOST_ROWS:
            numbers[row["proposal"]] = said
    for (name,), row in found["proposals"].rows.items():
        numbers.setdefault(name, row["number"])
    seed = str(found["meta"].rows.get(("seed",), {}).get("value", ""))
    highest = min(max(numbers.values(), default=0), 1_000_000) + _FURTHER
    if seed.lstrip("-").isdigit():
        ids = {derive_id(int(seed), number): number for number in range(highest)}
        named.add(derive_id(int(seed), 0))
        numbers |= {name: ids[name] for name in named if name in ids}
    for name in sorted(named - numbers.keys()):
        highest += 1
        numbers[name] = highest
    return numbers


def _drop_doubles(
    proposals: dict[tuple[Any, ...], _Row], numbers: Mapping[str, int]
) -> None:
    """Give each proposal its number; of two with the same, the right one stays."""
    taken: set[int] = set()
    for key in sorted(proposals, key=lambda k: proposals[k]["number"] != numbers[k[0]]):
        proposals[key]["number"] = numbers[key[0]]
        if numbers[key[0]] in taken:
            del proposals[key]
        taken.add(numbers[key[0]])


def _placeholder(name: str, number: int, ref: _Ref | None) -> _Row:
    """Return a row in place of a lost one."""
    row = {
        column.name: _CHECKS.get(f"proposals.{column.name}", (None, _default(column)))[
            1
        ]
        for column in metadata.tables["proposals"].columns
    }
    return row | {
        "id": name,
        "number": number,
        "state": State.REJECTED.value if ref is None else State.FAILED.value,
        "operator": LOST,
        "reason": LOST,
        "message": "its row was in a damaged part of the archive",
        "tree": ref.tree if ref else None,
        "commit": ref.commit if ref else None,
    }


def _relate(found: dict[str, _Found], refs: Mapping[str, _Ref]) -> None:
    """Add lost parents, as the commits name them."""
    parents, proposals = found["parents"].rows, found["proposals"].rows
    by_commit = {
        row["commit"]: row["id"] for row in proposals.values() if row["commit"]
    }
    known = {child for child, _ in parents}
    for name, ref in refs.items():
        if name in known:
            continue
        named = [by_commit[commit] for commit in ref.parents if commit in by_commit]
        for position, parent in enumerate(named):
            parents[name, position] = {
                "child": name,
                "position": position,
                "parent": parent,
            }


def _settle(found: dict[str, _Found]) -> None:
    """Keep one row of each attempt; placeholders get the state that their rows show."""
    scored: set[str] = set()
    failed: set[str] = set()
    doubles: dict[tuple[Any, ...], Any] = {}
    evaluations = found["evaluations"].rows
    for key, row in list(evaluations.items()):
        attempt = (row["proposal"], row["case_id"], row["attempt"])
        if doubles.setdefault(attempt, key) != key:
            del evaluations[key]
            continue
        if row["split"] == "search":
            (scored if row["reason"] is None else failed).add(row["proposal"])
    for row in found["proposals"].rows.values():
        if row["operator"] == LOST and row["tree"] and row["id"] in scored - failed:
            row |= {"state": State.SCORED.value, "reason": None, "kept": "kept"}


def _write(target: Path, found: Mapping[str, _Found]) -> None:
    create_database(target).dispose()
    lengths: dict[int, int] = defaultdict(int)
    for row in found["vectors"].rows.values():
        lengths[len(row["data"])] += 1
    usual = max(lengths, key=lambda length: lengths[length], default=0)
    for row in found["vectors"].rows.values():
        row["data"] = row["data"][:usual].ljust(usual, b"\0")
    with closing(sqlite3.connect(target)) as connection, connection:
        for name, table in found.items():
            columns = [column.name for column in metadata.tables[name].columns]
            quoted = ", ".join(f'"{column}"' for column in columns)
            marks = ", ".join("?" * len(columns))
            connection.executemany(
                f"INSERT INTO {name} ({quoted}) VALUES ({marks})",
                ([row[column] for column in columns] for row in table.rows.values()),
            )
    make_whole(target)
