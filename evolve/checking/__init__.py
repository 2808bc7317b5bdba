"""`evolve check`: find cheats that a task's evaluator accepts."""

from evolve.checking.check import Report, check

__all__ = ["Report", "check"]
