"""`evolve status`: the state of a run, from its archive and its lock."""

import time
from typing import Any

from evolve.archive import State, needs_log
from evolve.runs.reader import OpenRun
from evolve.text import quoted
from evolve.view.terminal.console import number, of_limit

_FIGURES = ("max_variants", "max_time_s", "budget_usd", "max_tokens", "max_calls")
RATE_OVER_S = 60.0
_LIMITS = {
    "max_variants": " --max-variants +100",
    "budget_usd": " --budget +5usd",
    "max_tokens": " --max-tokens +100000",
    "max_calls": " --max-calls +100",
    # by the beginning of the reason
    "target": " --target SCORE",
    "plateau": " --plateau N",
}


def status_data(run: OpenRun) -> dict[str, Any]:
    """Return the state of a run as plain data.

    Args:
        run: the open run

    Returns:
        Values that JSON can hold. `state` is running, stopped or failed (with the
        reason), or killed.
    """
    worker, counts, spend = (
        run.folder.worker(),
        run.archive.counts(),
        run.archive.spend(),
    )
    last = run.archive.latest_events(("started", "stopped", "waiting"))
    now = time.time()
    newest, at = run.archive.last_event(), run.archive.last_event_at()
    stopped = last.get("stopped")
    # a ban or a promotion may come after the end; an engine notes that it has started
    started = last.get("started")
    ended = stopped is not None and (started is None or stopped.id > started.id)
    failed = ended and stopped is not None and bool(stopped.data.get("failed"))
    waiting = last.get("waiting")
    return run.summary() | {
        "state": (
            "running"
            if worker
            else "failed"
            if failed
            else "stopped"
            if ended
            else "killed"
        ),
        "worker": worker,
        "stopped": stopped.data["reason"] if stopped and ended else None,
        "waiting": waiting.data["message"]
        if worker and waiting and waiting.id == newest
        else None,
        "in_flight": {
            state.value: counts[state]
            for state in State
            if not state.finished and counts.get(state)
        },
        "variants": counts.get(State.SCORED, 0) + counts.get(State.FAILED, 0),
        "calls": spend.calls,
        "tokens": spend.tokens,
        "settled_usd": spend.settled_usd,
        "uncertain_usd": spend.uncertain_usd,
        "limits": {name: getattr(run.folder.settings, name) for name in _FIGURES},
        "per_minute": run.archive.finished_since(now - RATE_OVER_S)
        * 60.0
        / RATE_OVER_S,
        # a copy of archive.db alone would be an older state
        "copy_whole": worker is None and needs_log(run.folder.database),
        "last_event_s": None if at is None else max(0.0, now - at),
    }


def go_on(name: str, stopped: str | None) -> str:
    """Return the command that resumes a run.

    Args:
        name: of the run
        stopped: why it stopped; None if unknown

    Returns:
        A line with the command, including a limit that must be raised first.
    """
    limit = next(
        (flag for word, flag in _LIMITS.items() if (stopped or "").startswith(word)), ""
    )
    return f"go on: evolve resume {quoted(name)}{limit}"


def status_lines(data: dict[str, Any]) -> list[str]:
    """Return the state as lines for people.

    Args:
        data: from `status_data`

    Returns:
        The lines.
    """
    state = data["state"] + (f" ({data['worker']})" if data["worker"] else "")
    if data["stopped"]:
        state += f": {data['stopped']}"
    limits = data["limits"]
    in_flight = (
        ", ".join(f"{count} {name}" for name, count in data["in_flight"].items())
        or "nothing"
    )
    lines = [
        f"{data['run']} on {data['task']}: {state}",
        f"best       {number(data['best'])} {data['best_id'] or ''}",
        f"variants   {data['variants']}{of_limit(limits['max_variants'])} "
        f"({data['failed']} failed), {data['rejected']} rejected, "
        f"{data['per_minute']:.0f} a minute",
        f"in flight  {in_flight}",
    ]
    if data["calls"]:
        lines.append(
            f"spend      ${data['usd']:.4f}{of_limit(limits['budget_usd'], '${:g}')} "
            f"(${data['uncertain_usd']:.4f} not settled), "
            f"{data['tokens']:,}{of_limit(limits['max_tokens'])} tokens, "
            f"{data['calls']:,}{of_limit(limits['max_calls'])} calls"
        )
    if data["waiting"]:
        lines.append(f"waiting    {data['waiting']}")
    if data["last_event_s"] is not None:
        lines.append(f"last event {data['last_event_s']:.0f} s ago")
    if data["copy_whole"]:
        lines.append(
            f"to copy it: the whole folder {quoted(data['path'])}; archive.db alone is "
            "incomplete until the run is resumed or upgraded"
        )
    if data["state"] != "running":
        lines.append(go_on(data["run"], data["stopped"]))
    return lines
