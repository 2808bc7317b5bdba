"""What a scorer asks for: timed calls of a candidate, alone or against a reference.

Inputs never repeat within a process, so a program that remembers its answers gains
nothing; all answers come back, so that they can be checked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, NoReturn, Protocol

import numpy as np

from evolve.sandbox.inside import wire
from evolve.timing.blocks import Block, Clock, Side
from evolve.timing.decision import Plan
from evolve.timing.measurement import TURNS, measure
from evolve.timing.speed import Speed

Arguments = Sequence[Any]
_TRIES = 20  # draws for each input
Against = Literal["seed", "best"]
Draw = Callable[[np.random.Generator], Arguments]
"""Draws the arguments of one call."""
Check = Callable[[Any, Any, Arguments], None]
"""Gets answer, the reference's answer and arguments; raises if the answer is wrong."""


@dataclass(frozen=True)
class Process:
    """One process of a block.

    Attributes:
        side: Its times.
        answers: For each part, the answers of its calls.
    """

    side: Side
    answers: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Ran:
    """What a block gave.

    Attributes:
        variant: The candidate's process.
        reference: The reference's; None if the block had none.
        echo: What encoding the reference's answers took; None without reference.
        ratio: The reference's own speed, as a multiple of the seed's.
        identical: Whether both have the same files.
    """

    variant: Process
    reference: Process | None
    echo: Side | None
    ratio: float
    identical: bool


class Timed(Protocol):
    """The candidate as this module needs it; see `evolve.Candidate`."""

    def ask_block(self, header: dict[str, Any], payload: bytes) -> dict[str, Any]:
        """Run a block."""

    def decoded(self, payload: bytes) -> Any:
        """Decode an answer."""

    def fail(self, message: str) -> NoReturn:
        """Refuse an answer."""


def run_block(
    candidate: Timed,
    function: str,
    warm_up: Sequence[Arguments],
    parts: Sequence[Sequence[Arguments]],
    order: str,
    against: Against = "seed",
) -> Ran:
    """Make calls in fresh processes, of the candidate and of a reference in turn.

    Args:
        candidate: The candidate.
        function: Name of the function.
        warm_up: Arguments of calls that are not measured.
        parts: For each turn of a side, the arguments of its calls.
        order: Whose turn it is: A the candidate's, B the reference's.
        against: The reference.

    Returns:
        Answers and times.
    """
    calls = [wire.encode([[list(args), {}] for args in part]) for part in parts]
    payload = wire.encode((wire.encode([[list(args), {}] for args in warm_up]), calls))
    header = {"function": function, "order": order, "against": against}
    found = candidate.ask_block(header, payload)
    sides = found["sides"]

    def process(name: str) -> Process:
        answers = [candidate.decoded(part) for part in sides[name]["answers"]]
        for part, asked in zip(answers, parts, strict=True):
            if type(part) is not list or len(part) != len(asked):
                candidate.fail("its answer is not a list with one answer for each call")
        return Process(_side(sides[name]), answers)

    two = "B" in order
    return Ran(
        process("A"),
        process("B") if two else None,
        _side(sides["echo"]) if two else None,
        found["ratio"],
        found["identical"],
    )


def compare_calls(
    candidate: Timed, function: str, inputs: Sequence[Arguments]
) -> list[tuple[Any, Any]]:
    """Make calls in a fresh process of the candidate, and of the seed.

    Args:
        candidate: The candidate.
        function: Name of the function.
        inputs: Arguments of each call.

    Returns:
        For each call the candidate's answer and the seed's.
    """
    ran = run_block(candidate, function, [], [inputs], "AB")
    assert ran.reference is not None
    return list(zip(ran.variant.answers[0], ran.reference.answers[0], strict=True))


def _side(found: dict[str, Any]) -> Side:
    counted = found["instructions"]
    return Side(
        tuple(found["wall_ns"]),
        tuple(found["cpu_ns"]),
        int(found["outside_ns"]),
        () if None in counted else tuple(counted),
    )


@dataclass(frozen=True)
class Timing:
    """Times of a candidate's calls, each round in a fresh process.

    Attributes:
        answers: Arguments and answer of each call, of all rounds.
        seconds: Median over the rounds of the wall time of all calls, without the wire.
        cpu_seconds: The same of the CPU time of all its processes.
        rounds: Wall time of each round.
    """

    answers: tuple[tuple[Arguments, Any], ...]
    seconds: float
    cpu_seconds: float
    rounds: tuple[float, ...]


def time_calls(
    candidate: Timed,
    function: str,
    inputs: Sequence[Arguments],
    rounds: int,
) -> Timing:
    """Time a function on inputs, in a fresh process for each round.

    The first input only warms the process up, if there is more than one.

    Args:
        candidate: The candidate.
        function: Name of the function.
        inputs: Arguments of each call.
        rounds: Number of processes.

    Returns:
        Times and answers.

    Raises:
        ValueError: There are no inputs.
    """
    if not inputs:
        raise ValueError("invalid inputs: use at least one list of arguments")
    warm_up, timed = (inputs[:1], inputs[1:]) if len(inputs) > 1 else ([], inputs)
    sides: list[Side] = []
    answers: list[tuple[Arguments, Any]] = []
    for _ in range(rounds):
        ran = run_block(candidate, function, warm_up, [timed], "A").variant
        sides.append(ran.side)
        answers += zip(timed, ran.answers[0], strict=True)
    seconds = [side.wall_ns[0] / 1e9 for side in sides]
    return Timing(
        tuple(answers),
        median(seconds),
        median(side.cpu_ns[0] / 1e9 for side in sides),
        tuple(seconds),
    )


def measure_calls(
    candidate: Timed,
    function: str,
    draw: Draw,
    check: Check,
    against: Against,
    plan: Plan,
    clock: Clock,
) -> Speed:
    """Measure a function against the reference, on fresh inputs for each block.

    Args:
        candidate: The candidate.
        function: Name of the function.
        draw: Draws the arguments of a call.
        check: Checks each answer.
        against: "seed" or "best".
        plan: How sure the decision must be.
        clock: The clock that counts.

    Returns:
        The variant's speed.
    """
    rng = np.random.default_rng()  # secret: seeded by the system
    last: list[Ran] = []

    def block(calls: int) -> Block:
        inputs = _distinct(draw, rng, 1 + TURNS * calls)
        warm_up = inputs[:1]
        parts = [inputs[1 + turn :: TURNS] for turn in range(TURNS)]
        order = ("ABBA" if rng.random() < 0.5 else "BAAB") * (TURNS // 2)
        ran = run_block(candidate, function, warm_up, parts, order, against)
        assert ran.reference is not None and ran.echo is not None
        sides = (parts, ran.variant.answers, ran.reference.answers)
        for part in zip(*sides, strict=True):
            for arguments, answer, expected in zip(*part, strict=True):
                check(answer, expected, arguments)
        last[:] = [ran]
        return Block(ran.variant.side, ran.reference.side, ran.echo)

    measured = measure(block, plan, clock)
    return Speed(measured, last[0].ratio, last[0].identical)


def _distinct(draw: Draw, rng: np.random.Generator, count: int) -> list[Arguments]:
    """Draw inputs that all differ, so that remembering answers gains nothing.

    Returns:
        As many as asked for.

    Raises:
        ValueError: There are too few of them.
    """
    found: dict[bytes, Arguments] = {}
    for _ in range(_TRIES * count):
        arguments = draw(rng)
        found.setdefault(wire.encode(list(arguments)), arguments)
        if len(found) == count:
            return list(found.values())
    raise ValueError(
        f"draw(rng, case) gave {len(found)} different inputs where a process needs {count}: "
        "draw from more, as a program that remembers its answers would gain"
    )
