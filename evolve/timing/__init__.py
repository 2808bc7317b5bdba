"""Times that can be believed: paired measurement, decisions that are sure, the noise floor.

A variant and a reference are measured in turn, in pairs of fresh processes (blocks). Two
processes of identical code differ for their whole life, so the unit of every decision is a
block, never a call.
"""

from evolve.timing.answers import same
from evolve.timing.blocks import Clock
from evolve.timing.calls import (
    Against,
    Check,
    Draw,
    Timing,
    compare_calls,
    measure_calls,
    time_calls,
)
from evolve.timing.decision import Finding, Plan, judge
from evolve.timing.measurement import Measurement
from evolve.timing.speed import Speed

__all__ = [
    "Against",
    "Check",
    "Clock",
    "Draw",
    "Finding",
    "Measurement",
    "Plan",
    "Speed",
    "Timing",
    "compare_calls",
    "judge",
    "measure_calls",
    "same",
    "time_calls",
]
