"""Policies: given a snapshot of the archive and a generator, decide what to do next."""

from evolve.search.bandit import Arm, arms_of
from evolve.search.hopeless import Hopeless
from evolve.search.mates import make_mates
from evolve.search.mix import OperatorMix
from evolve.search.policy import (
    POLICIES,
    Action,
    Evaluate,
    Expand,
    Policy,
    Skip,
    Stop,
    make_policy,
    recorded_decision,
)
from evolve.search.prompt_context import prompt_context
from evolve.search.racing import Racing
from evolve.search.setup import make_frame, make_search

__all__ = [
    "POLICIES",
    "Action",
    "Arm",
    "Evaluate",
    "Expand",
    "Hopeless",
    "OperatorMix",
    "Policy",
    "Racing",
    "Skip",
    "Stop",
    "arms_of",
    "make_frame",
    "make_mates",
    "make_policy",
    "make_search",
    "prompt_context",
    "recorded_decision",
]
