"""Events of a run, sent to its page as they happen (server-sent events)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool

from evolve.archive import Browser
from evolve.runs.events import Finished, events_after
from evolve.runs.reader import OpenRun
from evolve.text import one_line
from evolve.view.terminal.status import status_data
from evolve.view.web.library import RunCache
from evolve.view.web.templates import dollars, duration, short_score

EVERY_S, QUIET_S = 1.0, 15.0
MOST_ROWS = 200
_SHOWN = ("variants", "failed", "rejected", "calls")


async def stream(library: RunCache, name: str, event: int) -> AsyncIterator[str]:
    """Send new events of a run, at most once per second.

    Comments keep the connection open when nothing happens.

    Args:
        library: the runs
        name: of the run
        event: the last one that the page knows

    Yields:
        Messages of the event stream.
    """
    spoke = time.monotonic()
    while True:
        news = await run_in_threadpool(_news, library, name, event)
        if news["event"] != event:
            event, spoke = news["event"], time.monotonic()
            yield f"id: {event}\ndata: {json.dumps(news)}\n\n"
        elif time.monotonic() - spoke > QUIET_S:
            spoke = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(EVERY_S)


def _news(library: RunCache, name: str, event: int) -> dict[str, Any]:
    with library.run(name) as shelf:
        found = events_after(shelf.run.archive, event)
        if not found:
            return {"event": event}
        ended = [e for e in found if isinstance(e, Finished)]
        return {
            "event": found[-1].id,
            "status": _figures(shelf.run),
            "ended": [_row(e) for e in ended[-MOST_ROWS:]],
        }


def _row(event: Finished) -> dict[str, Any]:
    return {
        "id": event.proposal,
        "number": event.number,
        "score": event.score,
        "gain": event.improvement,
        "best": event.best and not event.quarantined,
        "operator": one_line(event.operator, 20),
        "note": one_line(event.note, 90),
        "reason": one_line(event.reason or event.state, 24),
        "at": event.at,
    }


def _figures(run: OpenRun) -> dict[str, str]:
    """Return the figures of the page's tiles as texts."""
    data = status_data(run)
    started = Browser(run.archive).started_at()
    return {key: str(data[key]) for key in _SHOWN} | {
        "state": data["state"],
        "best": short_score(data["best"]),
        "usd": dollars(data["usd"]),
        "tokens": f"{data['tokens']:,}",
        "in_flight": str(sum(data["in_flight"].values())),
        "per_minute": f"{data['per_minute']:.0f}",
        "elapsed": duration(time.time() - started if started else None),
    }
