"""Retry with back-off after faults of the machine, and the error if they persist."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import tenacity

from evolve.errors import RunError
from evolve.sandbox import ProviderFault

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Exception)


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


class Backoff(NamedTuple):
    """Pauses between attempts, each twice the one before, in seconds."""

    first_s: float
    longest_s: float


_SANDBOX = Backoff(0.5, 20.0)


async def retry(
    work: Callable[[], Awaitable[_T]],
    on: type[_E],
    patience_s: float,
    backoff: Backoff,
    say: Callable[[_E, float], Awaitable[None]],
) -> _T:
    """Run `work`; after a fault run it again, after pauses of increasing length.

    Args:
        work: The job; must be repeatable.
        on: The fault.
        patience_s: How long to retry after the first fault, in seconds.
        backoff: Lengths of the pauses.
        say: Called with the fault and the length of the pause before each pause.

    Returns:
        The result of `work`.

    Raises:
        Exception: The last fault, if it persists.
    """
    try:
        return await work()  # as a rule; the machinery below costs more than some jobs
    except on as error:
        first: list[_E] = [error]

    async def again() -> _T:
        if first:
            raise first.pop()  # the attempt above: patience is counted from its fault
        return await work()

    async def before_sleep(state: tenacity.RetryCallState) -> None:
        assert state.outcome is not None and state.next_action is not None
        fault = state.outcome.exception()
        assert isinstance(fault, on)
        await say(fault, state.next_action.sleep)

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(on),
        stop=tenacity.stop_before_delay(patience_s),
        wait=tenacity.wait_exponential(backoff.first_s, backoff.longest_s),
        before_sleep=before_sleep,
        reraise=True,
    )
    return await retrying(again)


async def retry_sandbox(
    work: Callable[[], Awaitable[_T]],
    patience_s: float,
    say: Callable[[str], Awaitable[None]] | None = None,
) -> _T:
    """Run `work`, and run it again after faults of the machine: see `retry`.

    Args:
        work: The job; must be repeatable.
        patience_s: How long to retry after the first fault, in seconds.
        say: Called with a message before each pause; None: silent.

    Returns:
        The result of `work`.

    Raises:
        RunError: The faults persist.
    """

    async def message(fault: ProviderFault, pause_s: float) -> None:
        if say is not None:
            text = (
                f"the sandbox failed ({fault.message}); trying again in {pause_s:g} s"
            )
            await say(text)

    try:
        return await retry(work, ProviderFault, patience_s, _SANDBOX, message)
    except ProviderFault as fault:
        raise sandbox_failed(fault, patience_s) from None
