"""The contract of an operator, what it is shown, and how one is found by name."""

from __future__ import annotations

import difflib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from archive import Evaluation, Proposal
from evolve.errors import ConfigError, did_you_mean
from evolve.tasks import Task

if TYPE_CHECKING:
    from evolve.operators.prompting import Prompts

OPERATORS = {
    "syntactic": "evolve.operators.syntactic:Syntactic",
    "recombine": "evolve.operators.recombine:Recombine",
    "diff": "evolve.operators.diff:Diff",
    "rewrite": "evolve.operators.rewrite:Rewrite",
    "crossover": "evolve.operators.crossover:Crossover",
    "simplify": "evolve.operators.simplify:Simplify",
    "explain_then_change": "evolve.operators.explain_then_change:ExplainThenChange",
    "refine": "evolve.operators.refine:Refine",
}


class Rejected(Exception):
    """The proposal gives no variant; `reason` is a word, the message says more."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class Parent:
    """A scored variant with its files and what the scorer said of it."""

    proposal: Proposal
    files: Mapping[str, bytes]
    score: float
    rows: Sequence[Evaluation] = ()


@dataclass(frozen=True)
class Lesson:
    """A variant and a child of it that scored better, with what was changed."""

    before: Parent
    after: Parent

    @property
    def patch(self) -> str:
        """The change as a unified diff."""
        lines: list[str] = []
        for path in sorted(self.before.files.keys() | self.after.files.keys()):
            old, new = (side.files.get(path, b"").decode(errors="replace").splitlines()
                        for side in (self.before, self.after))
            lines += difflib.unified_diff(old, new, path, path, n=1, lineterm="")
        return "\n".join(lines)


@dataclass(frozen=True)
class Tried:
    """A scored child of the first parent that did not score better."""

    note: str
    score: float


@dataclass(frozen=True)
class Evidence:
    """What is shown beside the parents. All of it was known when the proposal was decided."""

    inspirations: tuple[Parent, ...] = ()
    failures: tuple[Proposal, ...] = ()  # recent children of the first parent that failed
    lessons: tuple[Lesson, ...] = ()
    tried: tuple[Tried, ...] = ()
    notes: str = ""
    hints: str = ""  # what people told the run


@dataclass(frozen=True)
class Reply:
    """A model's answer, stored before anything looks into it."""

    text: str
    finish_reason: str | None = None


Ask = Callable[[int, list[dict[str, str]]], Awaitable[Reply]]
"""(round, messages) -> reply; a reply that is stored for that round is returned, not paid again."""


@dataclass(frozen=True)
class Context:
    """Everything an operator may use. Randomness comes from `rng` alone."""

    task: Task
    parents: tuple[Parent, ...]
    rng: np.random.Generator
    evidence: Evidence = field(default_factory=Evidence)
    ask: Ask | None = None
    repair: str | None = None  # what was wrong with the first answer, on the second round
    prompts: Prompts | None = None  # None: ours


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
    module, _, attribute = OPERATORS.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise ConfigError(f"there is no operator {name!r}",
                          did_you_mean(name, OPERATORS)) from None
    if not (isinstance(found, type) and issubclass(found, Operator)):
        raise ConfigError(f"{name} is no operator", "see evolve.operators.Operator")
    operator = found()
    assert isinstance(operator, Operator)
    return operator
