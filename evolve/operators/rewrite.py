"""`rewrite`: a model answers with the whole new text. The reliable form for small models."""

from __future__ import annotations

from typing import Any

from evolve.operators.context import Context
from evolve.operators.model_operator import ModelOperator

VARIANTS = 5  # of the instruction, in rewrite.j2


class Rewrite(ModelOperator):
    """A new program in place of the old one, asked for in one of several ways."""

    name = "rewrite"
    instruction = "rewrite.j2"

    def values(self, context: Context) -> dict[str, Any]:
        return {"variant": int(context.rng.integers(VARIANTS))}
