"""Operators: (parents, evidence) -> a child tree. Found by name; one file each."""

from evolve.operators.operator import (
    OPERATORS,
    Ask,
    Child,
    Context,
    Evidence,
    Operator,
    Parent,
    Rejected,
    Reply,
    make_operator,
)

__all__ = ["OPERATORS", "Ask", "Child", "Context", "Evidence", "Operator", "Parent", "Rejected",
           "Reply", "make_operator"]
