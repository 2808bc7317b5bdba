"""Calls of functions with recorded inputs, and with inputs fuzzed from them.

The scorer sends numbers: which recorded call, and the seed of its changes. Recorded calls
are pickles, which are loaded here only, in the candidate's process.
"""

from __future__ import annotations

import importlib
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from . import fuzzing, wire
from .canonical import MOST_DRAWN, TooLarge, describe

AS_RECORDED = -1  # in place of a seed
LONGEST_S = 1.0  # for one call; an input that takes the reference longer is left out
PROBES_S = 10.0  # for all inputs that one recorded call is probed with
LEFT_OUT = "left out"  # the answer to an input that can't be compared


class TooSlow(BaseException):
    """A call took too long."""


class Calls:
    """Functions with their recorded calls.

    Args:
        targets: Modules and qualified names, such as `boltons.iterutils:remap`.
        file: The recorded calls: an encoded list of (index of the target, pickle, numbers
            of the arguments that may change for timing).
    """

    def __init__(self, targets: list[str], file: Path) -> None:
        self._functions = [resolve(target) for target in targets]
        self._recorded: list[tuple[int, bytes, list[int]]] = wire.decode(
            file.read_bytes()
        )
        self._raw: list[list[Any]] = []  # answers of the timed turns
        self._echoed = 0

    def answer(self, number: int, seed: int) -> Any:
        """Call the function once, and describe all that its caller can see.

        Args:
            number: Number of the recorded call.
            seed: Seed of the changes; `AS_RECORDED`: none.

        Returns:
            Plain data: the outcome, the arguments after the call, and the outcome of a
            second call with equal arguments, after the first answer was spoiled as its
            owner may; `LEFT_OUT` alone for a call that takes too long, or gives too much.
        """
        try:
            with _limit(LONGEST_S):
                arguments = self._loaded(number, seed, fuzzing.fuzzed)
                answer, outcome = self._outcome(number, arguments)
                after = describe(list(arguments))
                _spoil(answer, arguments)
                equal = self._loaded(number, seed, fuzzing.fuzzed)
                return [outcome, after, self._outcome(number, equal)[1]]
        except (TooSlow, TooLarge):
            return LEFT_OUT

    def shown(self, number: int, seed: int) -> str:
        """Return the arguments of a call as text, for the feedback.

        Args:
            number: Number of the recorded call.
            seed: Seed of the changes.

        Returns:
            At most 300 characters.
        """
        positional, named = self._loaded(number, seed, fuzzing.fuzzed)
        parts = [repr(value) for value in positional]
        parts += [f"{name}={value!r}" for name, value in named.items()]
        return ", ".join(parts)[:300]

    def probe(self, number: int, count: int) -> list[float]:
        """Measure whether a recorded call is suitable for timing.

        Args:
            number: Number of the recorded call.
            count: How many inputs to make of it.

        Returns:
            How many of the inputs differ, how many are answered without an exception, the
            median seconds of a call, and the numbers of the arguments that may change.
        """
        positional, named = self._loaded(number, AS_RECORDED, fuzzing.fuzzed)
        try:
            with _limit(PROBES_S):
                places = [
                    place
                    for place in range(len(positional) + len(named))
                    if self._pays(number, place, count // 4)
                ]
                return [*self._tried(number, places, count), *places]
        except (TooSlow, TooLarge):
            return [0, 0, PROBES_S]

    def _pays(self, number: int, place: int, count: int) -> bool:
        """Return whether an argument can change without an exception."""
        distinct, returned, _ = self._tried(number, [place], count)
        return distinct > 1 and returned == count

    def _tried(
        self, number: int, places: list[int], count: int
    ) -> tuple[int, int, float]:
        """Return how many inputs differ, how many are answered, and the seconds of one."""
        seen, taken, returned = set(), [], 0
        for seed in range(count):
            arguments = fuzzing.varied(self._unpickled(number), seed, places)
            seen.add(wire.encode(describe(list(arguments))))
            started = time.perf_counter()
            answer, _ = self._outcome(number, arguments)
            taken.append(time.perf_counter() - started)
            returned += type(answer) is not _Raised
        return len(seen), returned, sorted(taken)[len(taken) // 2]

    def timed(self, target: int, *args: Any, **kwargs: Any) -> Any:
        """Call a function; an exception is an answer, and a generator is drained.

        Args:
            target: Index of the function.
            *args: Its arguments.
            **kwargs: Its named arguments.

        Returns:
            Its answer.
        """
        try:
            return _drained(self._functions[target](*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the answer of a function under test
            return _Raised(type(error))

    def prepare(self, calls: list[Any]) -> list[Any]:
        """Make the inputs of timed calls; this is before the measured interval.

        Args:
            calls: For each ([number, seed], {}).

        Returns:
            For each (args, kwargs).
        """
        made = []
        for (number, seed), _ in calls:
            change = partial(fuzzing.varied, places=self._recorded[number][2])
            positional, named = self._loaded(number, seed, change)
            made.append(([self._recorded[number][0], *positional], named))
        return made

    def pack(self, answers: list[Any]) -> list[Any]:
        """Describe the answers of timed calls; this is in the measured interval.

        Args:
            answers: Those of one turn.

        Returns:
            Plain data.
        """
        self._raw.append(answers)
        return [_described(answer) for answer in answers]

    def echo(self) -> list[Any]:
        """Describe the answers of the next turn again: what `pack` alone costs.

        Returns:
            Plain data.
        """
        self._echoed += 1  # the first turn is that of the calls that warm up
        return [_described(answer) for answer in self._raw[self._echoed]]

    def _outcome(self, number: int, arguments: fuzzing.Arguments) -> tuple[Any, Any]:
        """Return the answer of a call, and its description."""
        positional, named = arguments
        answer = self.timed(self._recorded[number][0], *positional, **named)
        described = _described(answer)
        return answer, described

    def _loaded(
        self,
        number: int,
        seed: int,
        change: Callable[[fuzzing.Arguments, int], fuzzing.Arguments],
    ) -> fuzzing.Arguments:
        arguments = self._unpickled(number)
        if seed == AS_RECORDED:
            return arguments
        try:
            return change(arguments, seed)
        except Exception:  # noqa: BLE001 - any class may refuse a change in its own way
            return self._unpickled(number)

    def _unpickled(self, number: int) -> fuzzing.Arguments:
        arguments: fuzzing.Arguments = pickle.loads(self._recorded[number][1])
        return arguments


class _Raised:
    """The exception that a call ended with: its class counts, not its text."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.name = f"{kind.__module__}.{kind.__qualname__}"


def _described(answer: Any) -> Any:
    if type(answer) is _Raised:
        return ("raised", answer.name)
    return ("returned", describe(answer))


def _drained(answer: Any) -> Any:
    """Draw all items of an iterator, since drawing them is the work."""
    if not isinstance(answer, Iterator) or hasattr(answer, "read"):
        return answer
    items = []
    for item in answer:
        items.append(item)
        if len(items) == MOST_DRAWN:
            break
    return iter(items)


def _spoil(answer: Any, arguments: fuzzing.Arguments) -> None:
    """Change an answer as its owner may, so that a cached one gives itself away."""
    positional, named = arguments
    given = any(answer is value for value in (*positional, *named.values()))
    if not given and type(answer) in (list, dict, set):
        answer.clear()


class _limit:
    """Context manager: raise `TooSlow` when a time is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, _too_slow)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_slow(*_: object) -> None:
    raise TooSlow


def resolve(target: str) -> Callable[..., Any]:
    """Return the function of a target.

    Args:
        target: Module and qualified name, such as `package.module:Class.method`.

    Returns:
        The function; for a property its getter.

    Raises:
        AttributeError: The module has no such name.
    """
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    *owners, last = name.split(".")
    for owner in owners:
        found = getattr(found, owner)
    held = vars(found).get(last) if isinstance(found, type) else None
    if isinstance(held, property):
        held = held.fget
    if isinstance(held, (staticmethod, classmethod)):
        held = held.__func__
    function: Callable[..., Any] = held or getattr(found, last)
    return function
