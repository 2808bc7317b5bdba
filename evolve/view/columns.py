"""The columns of variants for the tree, JSON, CSV, data frames and web pages.

To add a column, append a `Column` to `COLUMNS`. If `Variant` lacks the value, add a field
to it and to its query, both in archive/browse.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from operator import attrgetter
from typing import Any

from evolve.archive import Variant
from evolve.text import visible

CSV_NOTE_CHARS = 160


class View(Flag):
    """Where a column appears."""

    JSON = auto()  # tree --json, show --json, JSON lines
    CSV = auto()  # data frames, too
    LINE = auto()  # a line of the tree in the terminal
    TABLE = auto()  # tables of variants on web pages
    GRAPH = auto()  # the tree on its web page


DATA = View.JSON | View.CSV
PEOPLE = View.LINE | View.TABLE | View.GRAPH


@dataclass(frozen=True)
class Column:
    """One fact about variants.

    Attributes:
        name: JSON key, CSV header and heading of tables
        value: what programs get; people see nothing for None
        views: where it appears
        form: what people see, as for `str.format`; empty: name and value
        style: of a value in the terminal
    """

    name: str
    value: Callable[[Variant], Any]
    views: View = DATA | PEOPLE
    form: str = ""
    style: Callable[[Any], str] = lambda value: "dim"

    @property
    def pattern(self) -> str:
        """The form, as `str.format` needs it."""
        return self.form or f"{self.name} {{}}"

    def text(self, variant: Variant) -> str:
        """Return what people see.

        Args:
            variant: any variant

        Returns:
            The formatted value; empty for None.
        """
        value = self.value(variant)
        return "" if value is None else visible(self.pattern.format(value))


def _field(name: str, views: View, form: str = "") -> Column:
    """Return the column of a field of `Variant`."""
    return Column(name, attrgetter(name), views, form)


COLUMNS = [
    # for programs, in the order of the CSV header
    _field("number", DATA),
    _field("id", DATA),
    _field("parent", View.CSV),
    _field("parents", View.JSON),
    _field("state", View.CSV),
    Column("status", attrgetter("state"), View.JSON),
    _field("operator", DATA),
    _field("model", View.CSV),
    _field("island", View.CSV),
    _field("score", DATA),
    _field("improvement", DATA),
    _field("novelty", DATA),
    _field("kept", DATA),
    _field("quarantined", DATA),
    _field("ratio_low", DATA),
    _field("ratio_high", DATA),
    _field("pairs", DATA),
    _field("reason", DATA),
    _field("children", View.JSON),
    _field("cost_usd", DATA),
    _field("created_at", View.CSV),
    _field("finished_at", View.CSV),
    Column("note", lambda v: v.note[:CSV_NOTE_CHARS], View.CSV),
    _field("note", View.JSON),
    # for people, in the order of a line
    _field("number", View.GRAPH, "#{}"),
    Column("id", lambda v: v.id[:8], View.LINE, "{}", lambda name: ""),
    Column("score", attrgetter("score"), PEOPLE, "{}", lambda score: ""),
    Column("cause", lambda v: v.cause, View.LINE, "{}"),
    Column(
        "gain",
        attrgetter("improvement"),
        PEOPLE,
        "{:+.6g}",
        lambda gain: "green" if gain > 0 else "dim",
    ),
    Column("interval", attrgetter("interval"), PEOPLE, "x {}"),
    Column("state", lambda v: v.cause or v.state, View.GRAPH, "{}"),
    _field("operator", PEOPLE, "{}"),
    Column("model", lambda v: v.model or "none", View.GRAPH, "{}"),
    _field("island", View.GRAPH, "island {}"),
    _field("children", View.GRAPH, "{} children"),
    Column("cost", lambda v: v.cost_usd or None, View.LINE, "${:.4f}"),
    Column(
        "quarantined",
        lambda v: v.quarantined or None,
        View.LINE,
        "quarantined",
        lambda quarantined: "red",
    ),
    Column("change", attrgetter("note"), View.TABLE, "{}"),
]


def columns_of(view: View) -> list[Column]:
    """Return the columns of a view.

    Args:
        view: one of `View`

    Returns:
        The columns in their order.
    """
    return [column for column in COLUMNS if view in column.views]


def row_of(variant: Variant, view: View) -> dict[str, Any]:
    """Return a variant as data for programs.

    Args:
        variant: any variant
        view: `View.JSON` or `View.CSV`

    Returns:
        Name -> value.
    """
    return {column.name: column.value(variant) for column in columns_of(view)}
