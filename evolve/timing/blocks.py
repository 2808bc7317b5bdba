"""Blocks: what one pair of fresh processes took, and the ratio that follows from it.

What is measured is charged in full: CPU time that a variant spends outside of the
measured calls (at import, while warming up, in threads or processes that it left behind)
beyond what the reference spends there is added to its time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Clock = Literal["cpu", "wall"]


@dataclass(frozen=True)
class Side:
    """One process of a block, in nanoseconds.

    Attributes:
        wall_ns: Wall time of the measured calls, for each turn.
        cpu_ns: CPU time of all its processes in these calls, for each turn.
        outside_ns: Their CPU time before, between and after the turns.
        instructions: Executed in each turn; empty where the kernel gives no such count.
    """

    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    outside_ns: int
    instructions: tuple[int, ...] = ()

    def taken_ns(self, clock: Clock) -> tuple[int, ...]:
        """Return the time of the measured calls by one clock, for each turn.

        Args:
            clock: "cpu", or "wall": the greater of both, so that work in parallel does
                not count as faster than it is on one processor.
        """
        if clock == "cpu":
            return self.cpu_ns
        return tuple(map(max, self.wall_ns, self.cpu_ns))


@dataclass(frozen=True)
class Block:
    """A pair of fresh processes with the same calls.

    Attributes:
        variant: What the variant took.
        reference: What the reference took.
        echo: What a process took that only encoded the reference's answers.
    """

    variant: Side
    reference: Side
    echo: Side


def log_ratios(blocks: Sequence[Block], clock: Clock) -> list[float]:
    """Return log(reference time / variant time) of each block.

    It is the median over the turns of a block, which a burst of other load on the machine
    hardly moves. The cost of encoding the answers is subtracted from both sides.

    Args:
        blocks: At least one.
        clock: The clock that counts.

    Returns:
        One number per block; 0 means as fast as the reference.
    """
    hidden = hidden_ns(blocks)
    return [_log_ratio(block, clock, hidden) for block in blocks]


def _log_ratio(block: Block, clock: Clock, hidden: float) -> float:
    turns = zip(
        block.variant.taken_ns(clock),
        block.reference.taken_ns(clock),
        block.echo.taken_ns(clock),
        strict=True,
    )
    charged = hidden / len(block.variant.cpu_ns)
    return median(
        math.log(_without(theirs, echo) / (_without(ours, echo) + charged))
        for ours, theirs, echo in turns
    )


def instruction_ratio(blocks: Sequence[Block]) -> float | None:
    """Return how many times fewer instructions the variant executes than the reference.

    Args:
        blocks: At least one.

    Returns:
        The median over the turns, without the encoding of answers; None where the kernel
        gives no count.
    """
    ratios = [
        _without(theirs, echo) / _without(ours, echo)
        for block in blocks
        for ours, theirs, echo in zip(
            block.variant.instructions,
            block.reference.instructions,
            block.echo.instructions,
            strict=False,
        )
    ]
    return median(ratios) if ratios else None


def hidden_ns(blocks: Sequence[Block]) -> float:
    """Return the CPU time that variants spend outside of the measured calls.

    Args:
        blocks: At least one.

    Returns:
        Nanoseconds in each block beyond what the reference spends there: the median, less
        two of its standard errors (from the median absolute deviation, as for a normal
        distribution), as most of it is the decoding of arguments.
    """
    excess = [block.variant.outside_ns - block.reference.outside_ns for block in blocks]
    middle = median(excess)
    deviation = 1.4826 * median(abs(value - middle) for value in excess)
    error = 1.2533 * deviation / math.sqrt(len(excess))
    return max(middle - 2 * error, 0.0)


def _without(taken_ns: int, echo_ns: int) -> float:
    """Subtract the cost of encoding; at most half, as it is noisy itself."""
    return max(taken_ns - echo_ns, taken_ns / 2, 1.0)
