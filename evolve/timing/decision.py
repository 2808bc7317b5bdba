"""The decision whether a variant is faster: valid although it is looked at again and again.

Looks are made at fixed numbers of blocks, and the error of a variant is divided among them
(alpha spending: Lan and DeMets 1983, "Discrete sequential boundaries for clinical
trials"). So a variant that changes nothing is kept with at most the probability of
`Plan.error`, however often the data was looked at.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evolve.timing.signed_rank import estimate, interval, p_greater

LOOKS = (12, 18, 26, 38, 54, 76, 108)  # numbers of blocks
CONFIRMING = 30  # blocks of a look at held-out inputs
FUTILE_AFTER = 8  # blocks after which a variant may be given up
_SLOWER_AFTER, _SLOWER = 4, math.log(0.9)
# p-value with which a decision may take longer than usual: few no-ops reach it
PROMISING = 0.002


@dataclass(frozen=True)
class Plan:
    """How sure a decision must be, and what it may cost.

    Attributes:
        error: Probability that a variant without any gain is kept.
        margin: Gain, as a share, that counts as none: other layouts of the same code
            differ by as much.
        worthwhile: Gain that is worth more measuring; one that is probably smaller is
            given up.
        patience_s: Seconds after which only a promising variant is measured on.
        longest_s: Seconds after which every variant is given up.
        looks: Numbers of blocks at which to decide.
        gives_up: Whether to stop when a gain is unlikely, and as soon as one is sure;
            False: run as many blocks as the last look has.
    """

    error: float = 0.005
    margin: float = 0.003
    worthwhile: float = 0.01
    patience_s: float = 4.5
    longest_s: float = 60.0
    looks: tuple[int, ...] = LOOKS
    gives_up: bool = True

    @classmethod
    def confirmation(cls, look: int, longest_s: float = 60.0) -> "Plan":
        """Return the plan of a look at held-out inputs.

        All looks of a run together err with at most 5 %: those of look j are
        0.05 * 6 / (pi * j)**2, which sum to 0.05.

        Args:
            look: Number of the look, from 1.
            longest_s: Seconds after which to end.

        Returns:
            The plan.
        """
        error = 0.05 * 6 / (math.pi * look) ** 2
        return cls(
            error=error, longest_s=longest_s, looks=(CONFIRMING,), gives_up=False
        )


@dataclass(frozen=True)
class Finding:
    """What the blocks say so far; ratios are reference time / variant time.

    Attributes:
        ratio: Estimate; above 1 the variant is faster.
        low: Lower end of the 95 % interval.
        high: Upper end.
        blocks: Number of pairs of processes.
        p: One-sided p-value of a gain above the margin.
        sure: Whether the gain is sure by the plan.
    """

    ratio: float
    low: float
    high: float
    blocks: int
    p: float
    sure: bool

    def in_words(self) -> str:
        """Return the finding for people, such as "1.34 x faster (1.29 to 1.39)"."""
        ends = f"({self.low:.3f} to {self.high:.3f}, {self.blocks} pairs of processes)"
        if self.sure:
            return f"{self.ratio:.3f} x faster {ends}"
        return f"no gain that is sure: {self.ratio:.3f} x {ends}"


def judge(differences: Sequence[float], plan: Plan) -> Finding:
    """Judge the blocks at a look.

    Args:
        differences: log(reference time / variant time) of each block, at least one.
        plan: How sure the decision must be.

    Returns:
        The finding.
    """
    low, high = interval(differences)
    p = p_greater([value - math.log1p(plan.margin) for value in differences])
    return Finding(
        math.exp(estimate(differences)),
        math.exp(low),
        math.exp(high),
        len(differences),
        p,
        p <= plan.error / len(plan.looks),
    )


def is_hopeless(differences: Sequence[float], plan: Plan) -> bool:
    """Return whether more blocks would hardly show a worthwhile gain.

    Args:
        differences: log(reference time / variant time) of each block.
        plan: Names the worthwhile gain.

    Returns:
        True if the variant is clearly slower, or its gain is probably smaller.
    """
    if len(differences) >= _SLOWER_AFTER and max(differences) < _SLOWER:
        return True
    if len(differences) < FUTILE_AFTER:
        return False
    _, high = interval(differences, alpha=0.2)
    return high < math.log1p(plan.worthwhile)
