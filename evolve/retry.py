"""Retry with back-off after faults of the machine, and the error if they persist."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from evolve.errors import RunError
from evolve.sandbox import ProviderFault

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0
_T = TypeVar("_T")


def sandbox_failed(fault: ProviderFault, for_s: float | None = None) -> RunError:
    """Return the error for a persistent fault of the sandbox.

    Args:
        fault: The last fault.
        for_s: How long it was retried, in seconds; None: it was not.

    Returns:
        The error, with a hint.
    """
    how_long = "" if for_s is None else f" for {for_s:g} s"
    return RunError(
        f"the sandbox failed{how_long}: {fault.message}", fault.hint or "evolve doctor"
    )


async def retry_sandbox(
    work: Callable[[], Awaitable[_T]],
    patience_s: float,
    say: Callable[[str], Awaitable[None]] | None = None,
) -> _T:
    """Run `work`; after a `ProviderFault` run it again, after pauses of increasing length.

    Args:
        work: The job; must be repeatable.
        patience_s: How long to retry after the first fault, in seconds.
        say: Called with a message before each pause; None: silent.

    Returns:
        The result of `work`.

    Raises:
        RunError: The faults persist.
    """
    pause, deadline = FIRST_PAUSE_S, None
    while True:
        try:
            return await work()
        except ProviderFault as fault:
            deadline = deadline or time.monotonic() + patience_s
            if time.monotonic() + pause > deadline:
                raise sandbox_failed(fault, patience_s) from None
            if say is not None:
                await say(
                    f"the sandbox failed ({fault.message}); trying again in {pause:g} s"
                )
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
