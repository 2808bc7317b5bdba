"""Policies: given what the archive knows and a generator, decide what to do with a free slot."""

from evolve.search.bandit import Arm, arms_of
from evolve.search.evidence import evidence_of
from evolve.search.mix import OperatorMix
from evolve.search.policy import POLICIES, Expand, Policy, Skip, Stop, make_policy

__all__ = ["POLICIES", "Arm", "Expand", "OperatorMix", "Policy", "Skip", "Stop", "arms_of",
           "evidence_of", "make_policy"]
