"""Policies: given a snapshot of the archive and a generator, decide what to do next."""

from evolve.search.bandit import Arm, arms_of
from evolve.search.mates import make_mates
from evolve.search.mix import OperatorMix
from evolve.search.policy import (
    KEEP,
    POLICIES,
    Decision,
    Evaluate,
    Expand,
    MateChoice,
    Policy,
    Skip,
    Stop,
    make_policy,
    recorded_decision,
)
from evolve.search.prompt_context import evidence_of
from evolve.search.racing import Racing
from evolve.search.setup import make_frame, make_search

__all__ = [
    "KEEP",
    "POLICIES",
    "Arm",
    "Decision",
    "Evaluate",
    "Expand",
    "MateChoice",
    "OperatorMix",
    "Policy",
    "Racing",
    "Skip",
    "Stop",
    "arms_of",
    "evidence_of",
    "make_frame",
    "make_mates",
    "make_policy",
    "make_search",
    "recorded_decision",
]
