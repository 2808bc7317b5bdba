"""The contract of an operator, and how one is found by name."""

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
    """The proposal gives no variant; `reason` is a word, the message says more.

    `note` is the child's own line on what was done, where there is one.
    """

    def __init__(self, reason: str, message: str, note: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.note = reason, message, note


@dataclass(frozen=True)
class Child:
    """A proposed tree and a line on what was done."""

    files: Mapping[str, bytes]
    note: str


class Operator(ABC):
    """Makes children. The same context gives the same child, or the same question to a model."""

    name: str
    parents: int = 1
    needs_model: bool = False

    @abstractmethod
    async def propose(self, context: Context) -> Child:
        """Make a child. Raises `Rejected` when none comes of it."""


def make_operator(name: str) -> Operator:
    """A built-in name or a dotted path `package.module:Class`. Raises `ConfigError`."""
    return find_class("operator", name, OPERATORS, Operator)()  # type: ignore[type-abstract]
