"""Operators: (parents, evidence) -> a child tree. Found by name; one file each."""

from evolve.operators.base import OPERATORS, Child, Operator, Rejected, make_operator
from evolve.operators.context import (
    Ask,
    Attempt,
    Context,
    Evidence,
    Lesson,
    LetWork,
    Parent,
    Reply,
    Tried,
)

__all__ = [
    "OPERATORS",
    "Ask",
    "Attempt",
    "Child",
    "Context",
    "Evidence",
    "Lesson",
    "LetWork",
    "Operator",
    "Parent",
    "Rejected",
    "Reply",
    "Tried",
    "make_operator",
]
