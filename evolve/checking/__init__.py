"""`evolve check`: does this task's evaluator accept what it should not?"""

from evolve.checking.attacks import ATTACKS, Attack
from evolve.checking.check import Report, Tried, check

__all__ = ["ATTACKS", "Attack", "Report", "Tried", "check"]
