"""The contract of an operator, and finding one by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from evolve.operators.context import Context
from evolve.plugins import find_class

OPERATORS = {
    "syntactic": "evolve.operators.syntactic:Syntactic",
    "recombine": "evolve.operators.recombine:Recombine",
    "diff": "evolve.operators.llm:Diff",
    "rewrite": "evolve.operators.llm:Rewrite",
    "crossover": "evolve.operators.llm:Crossover",
    "simplify": "evolve.operators.llm:Simplify",
    "explain_then_change": "evolve.operators.llm:ExplainThenChange",
    "refine": "evolve.operators.llm:Refine",
    "reflect": "evolve.operators.reflect:Reflect",
    "agentic": "evolve.operators.agentic:Agentic",
}


class Rejected(Exception):
    """A proposal that gives no variant.

    Args:
        reason: one word that is stored and counted
        message: details
        note: the child's own line on its change; empty if there is none
    """

    def __init__(self, reason: str, message: str, note: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.note = reason, message, note


@dataclass(frozen=True)
class Child:
    """A proposed tree.

    Attributes:
        files: path -> content
        note: one line on the change
    """

    files: Mapping[str, bytes]
    note: str


class Operator(ABC):
    """Base of the operators.

    The same context gives the same child, or the same request to a model.

    Attributes:
        name: name in the settings
        parents: number of parents
        needs_model: whether `propose` calls `context.ask`
    """

    name: str
    parents: int = 1
    needs_model: bool = False

    @abstractmethod
    async def propose(self, context: Context) -> Child:
        """Make a child.

        Args:
            context: parents, prompt context, generator and access to models

        Returns:
            The child, not yet checked by `check_child`.

        Raises:
            Rejected: no child could be made
        """


def make_operator(name: str) -> Operator:
    """Create an operator.

    Args:
        name: a built-in name or a dotted path `package.module:Class`

    Returns:
        A new instance.

    Raises:
        ConfigError: unknown name, or not an operator class
    """
    return find_class("operator", name, OPERATORS, Operator)()  # type: ignore[type-abstract]
