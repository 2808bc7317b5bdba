"""The noise floor of a task on this machine: what the seed differs from itself by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from evolve.timing.decision import Plan

POWER = 0.8  # probability that a gain of the named size is found
_SIGNED_RANK = math.sqrt(math.pi / 3)  # its loss of precision for normal differences


@dataclass(frozen=True)
class Noise:
    """How much equal programs differ here.

    Attributes:
        deviation: Standard deviation of log ratios of the seed to itself, robust.
        unit_s: Seconds that one of these differences takes.
        count: Number of differences.
    """

    deviation: float
    unit_s: float
    count: int

    def detectable(self, count: float, plan: Plan) -> float:
        """Return the least gain that is found with a probability of 80 %.

        Args:
            count: Number of differences that decide.
            plan: How sure the decision must be.

        Returns:
            The gain as a share, such as 0.02.
        """
        normal = NormalDist()
        certainty = normal.inv_cdf(1 - plan.error / len(plan.looks))
        width = (certainty + normal.inv_cdf(POWER)) * _SIGNED_RANK
        return plan.margin + math.expm1(width * self.deviation / math.sqrt(count))


def noise_of(differences: Sequence[float], seconds: float) -> Noise:
    """Return the noise that differences of equal programs show.

    Args:
        differences: log ratios, at least two.
        seconds: How long they took in all.

    Returns:
        The noise; the deviation is 1.4826 times the median absolute deviation, as for a
        normal distribution, so that single bursts of load do not count.
    """
    middle = median(differences)
    spread = 1.4826 * median(abs(value - middle) for value in differences)
    return Noise(spread, seconds / len(differences), len(differences))
