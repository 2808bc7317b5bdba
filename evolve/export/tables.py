"""Variants as CSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, TextIO

from evolve.archive import Browser
from evolve.runs.reader import OpenRun

COLUMNS = (
    "number",
    "id",
    "parent",
    "state",
    "operator",
    "model",
    "island",
    "score",
    "improvement",
    "novelty",
    "kept",
    "quarantined",
    "reason",
    "cost_usd",
    "created_at",
    "finished_at",
    "note",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(run: OpenRun) -> Iterator[dict[str, Any]]:
    """Return one row per proposal.

    Args:
        run: the open run

    Yields:
        `COLUMNS` and "measures", in the order of the decisions.
    """
    measures = Browser(run.archive).measures()
    for node in Browser(run.archive).nodes():
        found = node._asdict()
        yield {name: found[name] for name in COLUMNS} | {
            "measures": measures.get(node.id, {})
        }


def write_csv(run: OpenRun, file: TextIO) -> int:
    """Write one line per proposal, with one column per measure.

    Args:
        run: the open run
        file: open for writing text

    Returns:
        Number of proposals.
    """
    found = list(rows(run))
    names = sorted({name for row in found for name in row["measures"]})
    writer = csv.writer(file)
    writer.writerow([*COLUMNS, *(f"measure.{name}" for name in names)])
    for row in found:
        writer.writerow(
            [_harmless(row[name]) for name in COLUMNS]
            + [row["measures"].get(name, "") for name in names]
        )
    return len(found)


def write_jsonl(run: OpenRun, file: TextIO) -> int:
    """Write all data of each proposal, including texts.

    Args:
        run: the open run
        file: open for writing text

    Returns:
        Number of proposals.
    """
    count = 0
    for row in rows(run):
        count += 1
        proposal = run.archive.proposal(row["id"])
        detail = run.detail_data(proposal)
        files = (
            {
                path: content.decode(errors="replace")
                for path, content in run.files(proposal).items()
            }
            if proposal.tree
            else {}
        )
        file.write(
            json.dumps(
                detail | {"measures": row["measures"], "files": files},
                ensure_ascii=False,
            )
            + "\n"
        )
    return count


def _harmless(value: Any) -> Any:
    """Quote a model's text that a spreadsheet would take for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
