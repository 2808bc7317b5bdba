"""The list of runs: search, order and pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from evolve.text import Data

A_PAGE = 100  # runs
SORTS = (
    "used",
    "run",
    "task",
    "state",
    "model",
    "best",
    "gain",
    "scored",
    "failed",
    "rejected",
    "usd",
)
_SEARCHED = ("run", "task", "state", "model", "error")


def listing(rows: Sequence[Data], asked: Mapping[str, str]) -> Data:
    """Return one page of the list of runs.

    Args:
        rows: all runs, last used first
        asked: parameters of the address: `q`, `sort`, `up`, `page`; invalid ones are
            ignored

    Returns:
        Values for the template.
    """
    query = asked.get("q", "").strip()[:200]
    found = [row for row in rows if _matches(row, query.lower().split())]
    sort = asked.get("sort", "used")
    sort = sort if sort in SORTS else "used"
    up = asked.get("up") == "1"
    # runs without a value come last in both directions
    known = [row for row in found if row.get(sort) is not None]
    known.sort(key=lambda row: _key(row[sort]), reverse=not up)
    found = known + [row for row in found if row.get(sort) is None]
    pages = max(1, -(-len(found) // A_PAGE))
    number = asked.get("page", "1")
    page = (
        min(pages, max(1, int(number))) if number.isdigit() and len(number) < 7 else 1
    )
    return {
        "rows": found[(page - 1) * A_PAGE : page * A_PAGE],
        "count": len(found),
        "query": query,
        "sort": sort,
        "up": up,
        "number": page,
        "pages": pages,
    }


def _matches(row: Data, words: Sequence[str]) -> bool:
    text = " ".join(str(row.get(name) or "") for name in _SEARCHED).lower()
    return all(word in text for word in words)


def _key(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
