"""Small changes without a model: large files are changed in a process with limits."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from evolve.operators.base import Rejected
from evolve.sandbox import CandidateFault
from evolve.sandbox.aside import run_aside

PASSES = 4  # a change parses its files several times


class Changed(NamedTuple):
    """A changed file.

    Attributes:
        path: the file
        content: its new content
        note: one line on the change
    """

    path: str
    content: bytes
    note: str


async def change(
    function: Callable[..., Changed], *arguments: Any, files: Mapping[str, bytes]
) -> Changed:
    """Call a function that changes a file.

    Args:
        function: of a module, with arguments that can be pickled
        *arguments: its arguments
        files: the hostile part of the arguments, for its size

    Returns:
        Its result.

    Raises:
        Rejected: it found no change, or what it read is too much, too deep or too large a
            number
    """
    size = PASSES * sum(map(len, files.values()))
    try:
        found = await run_aside(changed_or_why, function, *arguments, size=size)
    except CandidateFault as fault:
        raise Rejected("unchanged", fault.message) from None
    if len(found) == 2:
        raise Rejected(*found)
    return Changed(*found)


def changed_or_why(function: Callable[..., Changed], *arguments: Any) -> list[Any]:
    """Call a function, with its rejection as a value.

    Args:
        function: changes a file
        *arguments: its arguments

    Returns:
        Path, content and note; or reason and message.
    """
    try:
        return list(function(*arguments))
    except Rejected as why:
        return [why.reason, why.message]
    except (ArithmeticError, ValueError, SyntaxError, RecursionError) as error:
        # programs of candidates: a number of 5,000 digits, 900 nested brackets
        return ["unchanged", f"{type(error).__name__}: {error}"[:300]]
