"""`evolve ls` as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from evolve.view.console import number


def runs_table(rows: Sequence[dict[str, Any]]) -> Table:
    """One line for each run."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("run", "task", "scored", "failed", "rejected", "best", "usd"):
        table.add_column(name, justify="left" if name in ("run", "task") else "right")
    for row in rows:
        table.add_row(row["run"], row["task"], str(row["scored"]), str(row["failed"]),
                      str(row["rejected"]), number(row["best"]), f"{row['usd']:.4f}")
    return table
