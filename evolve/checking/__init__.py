"""`evolve check`: find cheats that a task's evaluator accepts."""

from evolve.checking.attacks import ATTACKS, Attack
from evolve.checking.check import Report, Tried, check

__all__ = ["ATTACKS", "Attack", "Report", "Tried", "check"]
