"""A program's own tests, run in its box, as a guard of its correctness."""

from evolve.guard.tests import Order, Unproved, order_tests, passed_tests

__all__ = ["Order", "Unproved", "order_tests", "passed_tests"]
