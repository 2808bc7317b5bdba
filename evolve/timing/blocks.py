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
        wall_ns: Wall time of the measured calls.
        cpu_ns: CPU time of all its processes in these calls.
        outside_ns: Their CPU time before, between and after them.
    """

    wall_ns: int
    cpu_ns: int
    outside_ns: int

    def taken_ns(self, clock: Clock) -> int:
        """Return the time of the measured calls by one clock.

        Args:
            clock: "cpu", or "wall": the greater of both, so that work in parallel does
                not count as faster than it is on one processor.
        """
        return self.cpu_ns if clock == "cpu" else max(self.wall_ns, self.cpu_ns)


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

    The cost of encoding the answers is subtracted from both sides.

    Args:
        blocks: At least one.
        clock: The clock that counts.

    Returns:
        One number per block; 0 means as fast as the reference.
    """
    hidden = median(
        block.variant.outside_ns - block.reference.outside_ns for block in blocks
    )
    charged = max(hidden, 0.0)
    ratios = []
    for block in blocks:
        echo = block.echo.taken_ns(clock)
        ours = _without(block.variant.taken_ns(clock), echo) + charged
        theirs = _without(block.reference.taken_ns(clock), echo)
        ratios.append(math.log(theirs / ours))
    return ratios


def _without(taken_ns: int, echo_ns: int) -> float:
    """Subtract the cost of encoding; at most half, as it is noisy itself."""
    return max(taken_ns - echo_ns, taken_ns / 2, 1.0)
