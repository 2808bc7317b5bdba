"""A start is never silent: a line for people while something takes long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from evolve.evaluation.evaluator import Evaluator
from evolve.text import Note

_QUIET_S, _LONG_S, _LATER_S = 1.5, 120.0, 10.0


@asynccontextmanager
async def never_silent(
    note: Note, doing: Callable[[], str] | None = None
) -> AsyncIterator[Note]:
    """Context manager: report progress every two seconds; later, less often.

    Args:
        note: called with messages for people
        doing: describes the work; None: the last line that was reported

    Yields:
        To be called in place of `note`.
    """
    began = spoken = time.monotonic()
    last = "starting"

    def say(line: str) -> None:
        nonlocal spoken, last
        spoken, last = time.monotonic(), line
        note(line)

    async def beat() -> None:
        nonlocal spoken
        while True:
            taken_s = time.monotonic() - began
            quiet_s = _QUIET_S if taken_s < _LONG_S else _LATER_S
            left_s = spoken + quiet_s - time.monotonic()
            if left_s > 0:
                await asyncio.sleep(left_s)
                continue
            spoken = time.monotonic()
            note(f"{doing() if doing else last} ({taken_s:.0f} s)")

    beating = asyncio.create_task(beat())
    try:
        yield say
    finally:
        beating.cancel()


@asynccontextmanager
async def counting_cases(
    evaluator: Evaluator, what: str, total: int
) -> AsyncIterator[None]:
    """Context manager: report how many cases are scored if that takes long.

    Args:
        evaluator: scores the cases, and has the function for messages
        what: the scored program
        total: number of cases
    """
    before = evaluator.cases_done

    def doing() -> str:
        return f"scoring {what}: {evaluator.cases_done - before} of {total} cases"

    if evaluator.note is None:
        yield
        return
    async with never_silent(evaluator.note, doing):
        yield
