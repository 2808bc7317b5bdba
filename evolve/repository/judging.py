"""How variants of a function are judged: the original's answers, and the repository's tests.

The scorer sends numbers: which recorded call, and the seed of the changes to it. Both
sides make the inputs from them in their own boxes, so no pickle is loaded here. The seeds
come from `case.seed`: neither a model nor a box knows those of the held-out case before
the end.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evolve.candidate import Candidate, CandidateError, Case
from evolve.timing import same

AS_RECORDED = -1
LEFT_OUT = "left out"
_TOGETHER = 120  # calls of one pair of processes
_SHOWN = 200  # characters of a value in a message
_TESTS = "tests.json"


class Guard:
    """Refuses variants that behave differently from the original.

    Args:
        folder: The task's folder.
        calls: Number of recorded calls, which are answered as they are.
        fuzz_from: Numbers of the calls that more inputs are fuzzed from; None: all.
        fuzzed: How many such inputs each evaluation makes.
        timed: Numbers of the calls that are timed, with small changes.
        tolerance: Relative error that floats of an answer may have.
        tests: Folder with the repository's tests; None: they are not run.
    """

    def __init__(
        self,
        folder: Path,
        *,
        calls: int,
        fuzz_from: Sequence[int] | None = None,
        fuzzed: int = 200,
        timed: Sequence[int] = (0,),
        tolerance: float = 0.0,
        tests: str | None = None,
    ) -> None:
        self._folder, self._calls = folder, calls
        self._fuzz_from = range(calls) if fuzz_from is None else tuple(fuzz_from)
        self._fuzzed = fuzzed
        self._timed, self._tolerance, self._tests = tuple(timed), tolerance, tests

    def accept(self, candidate: Candidate, case: Case) -> None:
        """Refuse a variant that answers otherwise, or fails a test that the seed passes.

        Args:
            candidate: The variant.
            case: The case; its seed draws the fuzzed inputs.

        Raises:
            CandidateError: The variant is wrong.
        """
        inputs = [[number, AS_RECORDED] for number in range(self._calls)]
        inputs += self._drawn(random.Random(case.seed))
        for first in range(0, len(inputs), _TOGETHER):
            self._compare(candidate, inputs[first : first + _TOGETHER])
        if self._tests is not None:
            self._test(candidate, self._folder / self._tests)

    def draw(self, rng: np.random.Generator, case: Case) -> list[int]:
        """Draw one call for timing.

        Args:
            rng: Draws it.
            case: Not used: inputs of all cases are alike.

        Returns:
            The number of a recorded call, and the seed of the changes to it.
        """
        number = self._timed[int(rng.integers(len(self._timed)))]
        return [number, int(rng.integers(1 << 40))]

    def check(
        self, candidate: Candidate, answer: Any, expected: Any, arguments: Any
    ) -> None:
        """Refuse an answer of a timed call that is not the original's.

        Args:
            candidate: The variant.
            answer: Its answer, described.
            expected: The original's.
            arguments: Number and seed.

        Raises:
            CandidateError: They differ.
        """
        if not same(answer, expected, self._tolerance):
            candidate.fail(
                f"in a timed call it gives {_short(answer)}, not {_short(expected)}"
            )

    def _drawn(self, rng: random.Random) -> list[list[int]]:
        if not self._fuzz_from:
            return []
        return [
            [rng.choice(self._fuzz_from), rng.randrange(1 << 40)]
            for _ in range(self._fuzzed)
        ]

    def _compare(self, candidate: Candidate, inputs: list[list[int]]) -> None:
        pairs = candidate.compare("answer", inputs)
        for arguments, (answer, expected) in zip(inputs, pairs, strict=True):
            if expected != LEFT_OUT and not same(answer, expected, self._tolerance):
                _refuse(candidate, arguments, answer, expected)

    def _test(self, candidate: Candidate, folder: Path) -> None:
        wanted = json.loads((self._folder / _TESTS).read_text())
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        candidate.pytest(wanted["arguments"], files, wanted["expected"])


def _refuse(
    candidate: Candidate, arguments: list[int], answer: Any, expected: Any
) -> None:
    """Refuse an answer, with the difference and the arguments."""
    parts = zip(_PARTS, _parts(answer), _parts(expected), strict=True)
    what, ours, theirs = next(part for part in parts if not same(part[1], part[2]))
    try:
        shown = f"for ({candidate.call('shown', *arguments)}) "
    except (
        CandidateError
    ):  # its own text of its arguments is no matter of right or wrong
        shown = ""
    candidate.fail(f"{shown}{what} {_short(ours)}, not {_short(theirs)}"[:1500])


_PARTS = ("it gives", "it leaves the arguments", "when called again it gives")


def _parts(answer: Any) -> Sequence[Any]:
    """Return outcome, arguments and second outcome of an answer."""
    if type(answer) is list and len(answer) == len(_PARTS):
        return answer
    return (answer,) * len(_PARTS)


def _short(answer: Any) -> str:
    """Return the described outcome of a call in few words."""
    match answer:
        case ("raised", str(name)):
            return f"the exception {name.removeprefix('builtins.')}"
        case ("returned", value):
            return repr(value)[:_SHOWN]
    return repr(answer)[:_SHOWN]
