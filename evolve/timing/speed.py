"""The speed of a variant: what may count as its score."""

import math
from dataclasses import dataclass
from typing import Any

from evolve.timing.measurement import Measurement


@dataclass(frozen=True)
class Speed:
    """The speed of a variant, as a multiple of the seed's.

    Attributes:
        measured: The measurement against the reference.
        reference: Speed of the reference.
        identical: Whether it is the reference itself, so that every difference is noise.
    """

    measured: Measurement
    reference: float
    identical: bool = False

    @property
    def score(self) -> float:
        """The multiple; without a sure gain, at most the reference's.

        So luck never makes a variant the best.
        """
        if self.identical:
            return self.reference
        found = self.measured.finding
        ratio = found.ratio if found.sure else min(found.ratio, 1.0)
        return self.reference * ratio

    @property
    def metrics(self) -> dict[str, Any]:
        """The measurement as plain data, for the archive."""
        return self.measured.as_metrics() | {"reference": self.reference}

    @property
    def feedback(self) -> str:
        """A sentence for the next prompt."""
        ours, theirs = self.measured.variant_s, self.measured.reference_s
        words = self.measured.finding.in_words()
        return f"{words}; a call takes {_time(ours)}, of the reference {_time(theirs)}"

    def as_result(self) -> dict[str, Any]:
        """Return what `evaluate` may return: score, metrics and feedback."""
        return {
            "score": self.score,
            "metrics": self.metrics,
            "feedback": self.feedback,
        }


def _time(seconds: float) -> str:
    """Return a time with three digits and a fitting unit."""
    if seconds <= 0:
        return "0 s"
    power = min(max(math.floor(math.log10(seconds) / 3), -3), 0)
    unit = {0: "s", -1: "ms", -2: "us", -3: "ns"}[power]
    return f"{seconds / 1000**power:.3g} {unit}"
