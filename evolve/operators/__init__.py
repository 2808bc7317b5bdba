"""Operators: (parents, evidence) -> a child tree. Found by name; one file each."""

from evolve.operators.operator import (
    OPERATORS,
    Ask,
    Child,
    Context,
    Evidence,
    Lesson,
    Operator,
    Parent,
    Rejected,
    Reply,
    Tried,
    make_operator,
)

__all__ = ["OPERATORS", "Ask", "Child", "Context", "Evidence", "Lesson", "Operator", "Parent",
           "Rejected", "Reply", "Tried", "make_operator"]
