"""`diff`: a model answers with SEARCH/REPLACE blocks on whole lines."""

from __future__ import annotations

from collections.abc import Mapping

from evolve.operators.edits import apply_changes
from evolve.operators.model_operator import ModelOperator
from evolve.operators.operator import Context


class Diff(ModelOperator):
    """Small changes of a large program."""

    name = "diff"
    instruction = "diff.j2"

    def apply(self, reply: str, context: Context) -> Mapping[str, bytes]:
        return apply_changes(reply, context.parents[0].files, context.task.editable)
