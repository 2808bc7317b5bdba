"""Operators: (parents, prompt context) -> a child tree. One per file, found by name."""

from evolve.operators.base import OPERATORS, Child, Operator, Rejected, make_operator
from evolve.operators.context import (
    AskModel,
    Attempt,
    Context,
    Evidence,
    Lesson,
    Parent,
    Reply,
    RunAgent,
    Tried,
)

__all__ = [
    "OPERATORS",
    "AskModel",
    "Attempt",
    "Child",
    "Context",
    "Evidence",
    "Lesson",
    "Operator",
    "Parent",
    "Rejected",
    "Reply",
    "RunAgent",
    "Tried",
    "make_operator",
]
