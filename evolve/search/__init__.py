"""Policies: given what the archive knows and a generator, decide what to do with a free slot."""

from evolve.search.framing import make_frame
from evolve.search.policy import (
    POLICIES,
    Expand,
    OperatorMix,
    Policy,
    Skip,
    Stop,
    make_policy,
)

__all__ = ["POLICIES", "Expand", "OperatorMix", "Policy", "Skip", "Stop", "make_frame",
           "make_policy"]
