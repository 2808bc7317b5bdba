"""Events of a run, sent to its page as they happen (server-sent events)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool

from evolve.runs.events import Finished, events_after
from evolve.runs.reader import OpenRun
from evolve.view.terminal.status import status_data
from evolve.view.web.library import RunCache
from evolve.view.web.links import ServedLinks
from evolve.view.web.pages import MOST_RECENT
from evolve.view.web.templates import dollars, duration, render, short_score

EVERY_S, QUIET_S = 1.0, 15.0
MOST_POINTS = 200
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
            "ended": [
                {"at": e.at, "score": e.score, "state": e.state}
                for e in ended[-MOST_POINTS:]
            ],
            "rows": _rows(shelf.run, [e.proposal for e in ended[-MOST_RECENT:]]),
        }


def _rows(run: OpenRun, finished: list[str]) -> str:
    """Return rows of the table of the latest proposals, newest first, as HTML."""
    known = {variant.id: variant for variant in run.browser.variants(finished)}
    recent = [known[name] for name in reversed(finished)]
    return render("_latest.html", recent=recent, link=ServedLinks(run.folder.name))


def _figures(run: OpenRun) -> dict[str, str]:
    """Return the figures of the page's tiles as texts."""
    data = status_data(run)
    started = run.browser.started_at()
    return {key: str(data[key]) for key in _SHOWN} | {
        "state": data["state"],
        "best": short_score(data["best"]),
        "usd": dollars(data["usd"]),
        "tokens": f"{data['tokens']:,}",
        "in_flight": str(sum(data["in_flight"].values())),
        "per_minute": f"{data['per_minute']:.0f}",
        "elapsed": duration(time.time() - started if started else None),
    }
