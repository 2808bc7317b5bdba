"""Events of a run, sent to its page as they happen (server-sent events)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool

from evolve.runs.events import Finished, events_after
from evolve.runs.reader import OpenRun
from evolve.runs.working_time import working_time
from evolve.view.terminal.status import status_data
from evolve.view.web.library import RunCache
from evolve.view.web.links import ServedLinks
from evolve.view.web.pages import MOST_RECENT, shown_digits
from evolve.view.web.templates import dollars, duration, render, short_score

EVERY_S, QUIET_S = 1.0, 15.0
MOST_POINTS = 200
_SHOWN = ("variants", "failed", "rejected", "calls")


async def stream(library: RunCache, name: str, event: int) -> AsyncIterator[str]:
    """Send new events of a run, at most once per second, while an engine works on it.

    Comments keep the connection open when nothing happens. The last message
    reports the end of the run.

    Args:
        library: the runs
        name: of the run
        event: the last one that the page knows

    Yields:
        Messages of the event stream.
    """
    spoke = time.monotonic()
    while True:
        news = await run_in_threadpool(news_after, library, name, event)
        if news["event"] != event or not news["running"]:
            event, spoke = news["event"], time.monotonic()
            yield f"id: {event}\ndata: {json.dumps(news)}\n\n"
        elif time.monotonic() - spoke > QUIET_S:
            spoke = time.monotonic()
            yield ": still here\n\n"
        if not news["running"]:
            return
        await asyncio.sleep(EVERY_S)


def news_after(library: RunCache, name: str, event: int) -> dict[str, Any]:
    """Return the news of a run.

    Args:
        library: the runs
        name: of the run
        event: the last one that the page knows

    Returns:
        The last event, whether an engine works on the run, the figures of the tiles,
        and the proposals that ended, also as HTML rows.
    """
    with library.run(name) as shelf:
        found = events_after(shelf.run.archive, event)
        ended = [e for e in found if isinstance(e, Finished)]
        return {
            "event": found[-1].id if found else event,
            "running": shelf.run.folder.worker() is not None,
            "status": _figures(shelf.run),
            "ended": [
                {"at": e.at, "score": e.score, "state": e.state}
                for e in ended[-MOST_POINTS:]
            ],
            "rows": _rows(library, shelf.run, ended) if ended else "",
        }


def _rows(library: RunCache, run: OpenRun, ended: list[Finished]) -> str:
    """Return rows of the table of the latest proposals, newest first, as HTML."""
    finished = [e.proposal for e in ended[-MOST_RECENT:]]
    known = {variant.id: variant for variant in run.browser.variants(finished)}
    return render(
        "_latest.html",
        recent=[known[name] for name in reversed(finished)],
        link=ServedLinks(run.folder.name, library.prefix),
        digits=shown_digits(run),
    )


def _figures(run: OpenRun) -> dict[str, str]:
    """Return the figures of the page's tiles as texts."""
    data = status_data(run)
    worked = working_time(run.archive, data["state"] == "running")
    return {key: str(data[key]) for key in _SHOWN} | {
        "state": data["state"],
        "best": short_score(data["best"], shown_digits(run)),
        "usd": dollars(data["usd"]),
        "tokens": f"{data['tokens']:,}",
        "in_flight": str(sum(data["in_flight"].values())),
        "per_minute": f"{data['per_minute']:.0f}",
        "elapsed": duration(worked.total),
    }
