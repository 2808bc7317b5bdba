"""Variants as CSV and JSON lines."""

import csv
from typing import Any, TextIO

from evolve.runs.reader import OpenRun
from evolve.text import json_line, visible
from evolve.view.columns import View, columns_of
from evolve.view.data import detail_data

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(run: OpenRun, file: TextIO) -> int:
    """Write one line per proposal, with one column per measure.

    Args:
        run: the open run
        file: open for writing text

    Returns:
        Number of proposals.
    """
    variants, measures = run.browser.variants(), run.browser.measures()
    names = sorted({name for found in measures.values() for name in found})
    columns, writer = columns_of(View.CSV), csv.writer(file)
    writer.writerow(
        [*(c.name for c in columns), *(f"measure.{visible(n)}" for n in names)]
    )
    for variant in variants:
        found = measures.get(variant.id, {})
        writer.writerow(
            [_harmless(column.value(variant)) for column in columns]
            + [found.get(name, "") for name in names]
        )
    return len(variants)


def write_jsonl(run: OpenRun, file: TextIO) -> int:
    """Write all data of each proposal, including texts.

    Args:
        run: the open run
        file: open for writing text

    Returns:
        Number of proposals.
    """
    variants, measures = run.browser.variants(), run.browser.measures()
    for variant in variants:
        proposal = run.archive.proposal(variant.id)
        files = run.files(proposal) if proposal.tree else {}
        row = detail_data(run, proposal) | {
            "measures": measures.get(variant.id, {}),
            "files": {
                path: content.decode(errors="replace")
                for path, content in files.items()
            },
        }
        file.write(json_line(row) + "\n")
    return len(variants)


def _harmless(value: Any) -> Any:
    """Return a value that neither a terminal nor a spreadsheet interprets."""
    if isinstance(value, str):
        text = visible(value)
        return f"'{text}" if value.startswith(_FORMULA) else text
    return "" if value is None else value
