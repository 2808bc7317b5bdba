"""The contract of an operator, and finding one by name."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from evolve import plugins
from evolve.archive import CONTEXT_KINDS, Files
from evolve.errors import ConfigError
from evolve.operators.context import Context
from evolve.plugins import Chosen, find_class

OPERATORS = {
    "syntactic": "evolve.operators.syntactic:Syntactic",
    "tune": "evolve.operators.tune:Tune",
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


MAX_MESSAGE = 4000  # characters; it may quote a reply


class Rejected(Exception):
    """A proposal that gives no variant.

    Args:
        reason: one word that is stored and counted
        message: details
        note: the child's own line on its change; empty if there is none
    """

    def __init__(self, reason: str, message: str, note: str = "") -> None:
        super().__init__(message[:MAX_MESSAGE])
        self.reason, self.message, self.note = reason, message[:MAX_MESSAGE], note


@dataclass(frozen=True)
class Child:
    """A proposed tree.

    Attributes:
        files: path -> content
        note: one line on the change
    """

    files: Files
    note: str


class Operator(ABC):
    """Base of the operators.

    The same context gives the same child, or the same request to a model.

    Attributes:
        parents: number of parents
        needs_model: whether `propose` calls `context.ask`
        needs_tuner: whether a tuner chooses its parent and the numbers of its child
        shows: kinds of prompt context that `context.prompt_context` has besides notes and
            hints, of `CONTEXT_KINDS`
        params: parameters from the settings
    """

    parents: int = 1
    needs_model: bool = False
    needs_tuner: bool = False
    shows: tuple[str, ...] = CONTEXT_KINDS

    class Params(plugins.Params):
        """Parameters of an operator that has none."""

    params: Params

    def __init__(self) -> None:
        self.params = self.Params()

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
    """Return an operator by name.

    Args:
        name: a built-in name, or a dotted path `package.module:Class`; parameters may
            follow: `syntactic:more=0.5`

    Returns:
        The operator; the same name always gives an equal one.

    Raises:
        ConfigError: there is no such operator, or a parameter is not valid
    """
    chosen = Chosen.parse(name)
    found = find_class("operator", chosen.name, OPERATORS, Operator)  # type: ignore[type-abstract]
    unknown = set(found.shows) - set(CONTEXT_KINDS)
    if unknown:
        raise ConfigError(
            f"operator {chosen.name}: invalid `shows` {', '.join(sorted(unknown))}",
            f"use some of: {', '.join(CONTEXT_KINDS)}",
        )
    operator = found()
    operator.params = chosen.params("operator", found.Params)
    return operator
