"""`evolve ls` as a table."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from evolve.view.terminal.console import DataTable, number


def runs_table(rows: Sequence[dict[str, Any]]) -> DataTable:
    """Return a table with one row per run.

    Args:
        rows: summaries of runs; a damaged run has the key "damaged"

    Returns:
        The table.
    """
    table = DataTable(
        "run",
        "task",
        "scored",
        "failed",
        "rejected",
        "best",
        "usd",
        whole=("run", "best"),
        right=("scored", "failed", "rejected", "best", "usd"),
    )
    for row in rows:
        if "damaged" in row:
            table.add_row(
                row["run"], Text(f"damaged: {row['damaged']}", "red"), *[""] * 5
            )
            continue
        table.add_row(
            row["run"],
            row["task"],
            str(row["scored"]),
            str(row["failed"]),
            str(row["rejected"]),
            number(row["best"]),
            f"{row['usd']:.4f}",
        )
    return table
