"""`explain_then_change`: lessons of the lineage first (a parent, its better child, what changed), then
a change that was reasoned out (after Evolution of Thought).
"""

from __future__ import annotations

from typing import Any

from evolve.operators.context import Context
from evolve.operators.model_operator import ModelOperator


class ExplainThenChange(ModelOperator):
    """Says what decides the score before it touches anything."""

    name = "explain_then_change"
    shows = ("rows", "lessons", "failures")
    instruction = "explain_then_change.j2"

    def values(self, context: Context) -> dict[str, Any]:
        return {"learned": bool(context.evidence.lessons)}
