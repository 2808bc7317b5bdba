"""`rewrite`: a model answers with the whole new text. The reliable form for small models."""

from __future__ import annotations

from collections.abc import Mapping

from evolve.operators.edits import rewrite
from evolve.operators.model_operator import ModelOperator
from evolve.operators.operator import Context


class Rewrite(ModelOperator):
    """A new program in place of the old one."""

    name = "rewrite"
    instruction = "rewrite.j2"

    def apply(self, reply: str, context: Context) -> Mapping[str, bytes]:
        return rewrite(reply, context.parents[0].files, context.task.editable)
