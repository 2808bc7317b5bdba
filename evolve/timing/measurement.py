"""Measure a variant against a reference until the decision is sure, or hopeless."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from evolve.timing.blocks import Block, Clock, Side, instruction_ratio, log_ratios
from evolve.timing.decision import (
    FUTILE_AFTER,
    PROMISING,
    Finding,
    Plan,
    is_hopeless,
    judge,
)

TURNS = 4  # of each side in a block
TURN_NS = 8_000_000  # a turn has calls for about this long
MAX_CALLS = 1_000  # in a turn


@dataclass(frozen=True)
class Measurement:
    """The outcome of a measurement.

    Attributes:
        finding: What is sure.
        differences: log(reference time / variant time) of each block.
        variant_s: Median time of a call of the variant, in seconds.
        reference_s: The same of the reference.
        calls: Number of calls in each block, per side.
        seconds: How long measuring took.
        instructions: Instructions of the reference / those of the variant; None where
            the kernel does not count them.
    """

    finding: Finding
    differences: tuple[float, ...]
    variant_s: float
    reference_s: float
    calls: int
    seconds: float
    instructions: float | None = None

    def as_metrics(self) -> dict[str, Any]:
        """Return it as plain data for the archive: finding, blocks and times."""
        found = self.finding
        counted = (
            {} if self.instructions is None else {"instructions": self.instructions}
        )
        return counted | {
            "ratio": found.ratio,
            "ratio_low": found.low,
            "ratio_high": found.high,
            "pairs": found.blocks,
            "p": found.p,
            "sure": found.sure,
            "differences": list(self.differences),
            "variant_s": self.variant_s,
            "reference_s": self.reference_s,
            "calls": self.calls,
        }


RunBlock = Callable[[int], Block]
"""Runs one block, with that many calls in each turn."""


def measure(run_block: RunBlock, plan: Plan, clock: Clock) -> Measurement:
    """Run blocks until the decision is sure or hopeless.

    Args:
        run_block: Runs one block.
        plan: How sure the decision must be.
        clock: The clock that counts.

    Returns:
        The measurement.
    """
    started = time.monotonic()
    calls = _calls_of_a_turn(run_block, clock)
    blocks: list[Block] = []
    while True:
        blocks.append(run_block(calls))
        differences = log_ratios(blocks, clock)
        finding = judge(differences, plan)
        seconds = time.monotonic() - started
        last = len(blocks) >= plan.looks[-1] or seconds > plan.longest_s
        if last or (plan.gives_up and finding.sure and len(blocks) in plan.looks):
            break
        if plan.gives_up and _gives_up(differences, finding, plan, seconds):
            finding = replace(finding, sure=False)  # this was not a look
            break
    return Measurement(
        finding,
        tuple(differences),
        _call_s([block.variant for block in blocks], clock, calls),
        _call_s([block.reference for block in blocks], clock, calls),
        TURNS * calls,
        seconds,
        instruction_ratio(blocks),
    )


def _gives_up(
    differences: Sequence[float], finding: Finding, plan: Plan, seconds: float
) -> bool:
    """Return whether more blocks are not worth their time."""
    if is_hopeless(differences, plan):
        return True
    blocks = len(differences)
    enough = blocks >= FUTILE_AFTER and seconds > plan.patience_s
    # the least p-value of a few blocks is 2**-blocks: slow functions need a chance, too
    return enough and finding.p > max(PROMISING, 2.0 ** (1 - blocks))


def _call_s(sides: Sequence[Side], clock: Clock, calls: int) -> float:
    """Return the median time of a call, in seconds."""
    turns = [taken for side in sides for taken in side.taken_ns(clock)]
    return median(turns) / (1e9 * calls)


def _calls_of_a_turn(run_block: RunBlock, clock: Clock) -> int:
    """Find the number of calls with which a turn takes about `TURN_NS`."""
    calls = 1
    while True:
        taken = median(run_block(calls).reference.taken_ns(clock))
        if taken >= TURN_NS / 2 or calls >= MAX_CALLS:
            return calls
        wanted = math.ceil(calls * TURN_NS / max(taken, 1.0))
        calls = min(MAX_CALLS, max(wanted, 2 * calls), 32 * calls)
