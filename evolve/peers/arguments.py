"""Values of the evaluator that a program may change in place, as `list.sort` does.

The program's process works on copies. A change comes back if the seed changes the same
argument of the same function, which is recorded when the seed is scored: so an evaluator
that lets programs sort its list sees it sorted, and a program can't zero the matrix of
distances that its tour is measured with. All other changes stay in the sandbox, and the score
is marked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from os import getpid
from pathlib import Path
from typing import Any

from evolve.sandbox.inside import mutable

CHANGES = "changes of arguments"  # those of the seed, for the engine alone
NOT_PASSED_BACK = "input changed, not passed back"
_FILE = "changed-arguments"
_PROCESS_BITS = 24  # of a number; an evaluator may fork, and all forks ask one program


@dataclass
class _Held:
    """A value that the program's process has a copy of.

    Attributes:
        value: The evaluator's own.
        label: The argument that it belongs to.
        known: Its content when both sides had the same; None since it was sent or changed
            there, until `settle`.
    """

    value: Any
    label: str
    known: Any = None


class Arguments:
    """The mutable values that the program's process holds copies of.

    Args:
        allowed: Changes that come back, as `change_of` names them; None: all, and they
            are recorded.
        folder: Scratch folder of the evaluation, where they are recorded.
    """

    _numbers = count(1)

    def __init__(self, allowed: Iterable[str] | None, folder: Path) -> None:
        self._allowed = None if allowed is None else frozenset(allowed)
        self._file = folder / _FILE
        self._held: dict[int, _Held] = {}
        self._by_id: dict[int, int] = {}
        # copies with the program's content, for changes that do not come back
        self._instead: dict[int, Any] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._held

    def hold(self, value: Any, label: str) -> tuple[int, bool]:
        """Number a value that is sent.

        Args:
            value: A mutable value.
            label: The argument that it belongs to.

        Returns:
            Its number, and whether this question has sent it already.
        """
        number = self._by_id.get(id(value))
        if number is None:
            number = getpid() << _PROCESS_BITS | next(self._numbers)
            self._by_id[id(value)] = number
            self._held[number] = _Held(value, label)
            return number, False
        held = self._held[number]
        if number < 0:  # of the program, which may keep it or make another one
            held.label = label
        if held.known is None:
            return number, True
        held.known = None
        self._instead.pop(number, None)  # the copy gets the evaluator's content again
        return number, False

    def adopt(self, number: int, value: Any, within: int, label: str) -> None:
        """Hold a value that the program has put into another one, or into an answer.

        Args:
            number: That the program's process gave it.
            value: The evaluator's copy.
            within: Number of the other one; 0: an answer.
            label: Name of the answer.
        """
        self._by_id[id(value)] = number
        self._held[number] = _Held(value, self._held[within].label if within else label)

    def are_outdated(self) -> bool:
        """Return whether a value has changed here since the program's process got it."""
        return any(
            held.known is not None
            and mutable.differs(held.known, mutable.content(held.value))
            for held in self._held.values()
        )

    def outdated(self) -> Iterator[tuple[int, Any, str]]:
        """Yield the values that changed here since the program's process got them.

        Yields:
            Number, value and the argument that it belongs to.
        """
        for number, held in list(self._held.items()):
            if held.known is not None and mutable.differs(
                held.known, mutable.content(held.value)
            ):
                held.known = None
                yield number, held.value, held.label

    def settle(self) -> None:
        """Take note that both sides have the same content of all values that were sent or changed."""
        for held in self._held.values():
            if held.known is None:
                held.known = mutable.content(held.value)

    def value(self, number: int) -> Any:
        """Return the value with a number, for an answer.

        Args:
            number: From the program's process.

        Returns:
            The evaluator's own value; a copy if the program changed it unasked.

        Raises:
            KeyError: The number is unknown.
        """
        if number in self._instead:
            return self._instead[number]
        return self._held[number].value

    def change_of(self, number: int, function: str) -> str:
        """Return the name of a change.

        Args:
            number: Of the value.
            function: Path of the function that was called, such as "Solver().step".

        Returns:
            Function, argument and types.

        Raises:
            KeyError: The number is unknown.
        """
        held = self._held[number]
        return f"{function} changes {held.label} ({type(held.value).__name__})"

    def comes_back(self, change: str) -> bool:
        """Return whether a change comes back; for the seed it is recorded.

        Args:
            change: As `change_of` names it.
        """
        if self._allowed is not None:
            return change in self._allowed
        if change not in recorded(self._file.parent):
            with self._file.open("a") as file:
                file.write(f"{change}\n")
        return True

    def has_changed(self, number: int) -> None:
        """Take note that a value was changed as the program changed its copy.

        Args:
            number: Of the value.
        """
        self._held[number].known = None

    def replace(self, number: int, copy: Any) -> None:
        """Use a copy in answers, as a change of the value does not come back.

        Args:
            number: Of the value.
            copy: With the program's content.
        """
        self._instead[number] = copy

    def keep(self, numbers: Iterable[int]) -> None:
        """Forget all values but those that the program's process still holds.

        Args:
            numbers: Of the others.
        """
        for number in self._held.keys() - set(numbers):
            del self._by_id[id(self._held.pop(number).value)]
            self._instead.pop(number, None)


def recorded(folder: Path) -> list[str]:
    """Return the changes that were recorded in an evaluation, in any of its processes.

    Args:
        folder: Scratch folder of the evaluation.

    Returns:
        Names of changes.
    """
    path = folder / _FILE
    return path.read_text().splitlines() if path.exists() else []
