"""Operators: (parents, prompt context) -> a child tree. One per file, found by name."""

from evolve.archive import Reply
from evolve.operators.base import OPERATORS, Child, Operator, Rejected, make_operator
from evolve.operators.context import (
    AskModel,
    Attempt,
    Context,
    Lesson,
    Parent,
    PromptContext,
    Tried,
)

__all__ = [
    "OPERATORS",
    "AskModel",
    "Attempt",
    "Child",
    "Context",
    "Lesson",
    "Operator",
    "Parent",
    "PromptContext",
    "Rejected",
    "Reply",
    "Tried",
    "make_operator",
]
