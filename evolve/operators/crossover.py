"""`crossover`: a model joins two programs. The policy chooses the mate."""

from __future__ import annotations

from evolve.operators.model_operator import ModelOperator


class Crossover(ModelOperator):
    """The first parent with what the second one does better."""

    name = "crossover"
    parents = 2
    shows = ("rows",)
    instruction = "crossover.j2"
