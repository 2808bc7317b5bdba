"""`diff`: a model answers with SEARCH/REPLACE blocks on whole lines."""

from __future__ import annotations

from collections.abc import Mapping

from evolve.operators.edits import SEARCH, apply_changes, fenced_blocks, rewrite
from evolve.operators.model_operator import ModelOperator
from evolve.operators.operator import Context
from evolve.tasks.region import START


class Diff(ModelOperator):
    """Small changes of a large program."""

    name = "diff"
    instruction = "diff.j2"

    def apply(self, reply: str, context: Context) -> Mapping[str, bytes]:
        if SEARCH not in reply and any(START in block.text for block in fenced_blocks(reply)):
            # Small models like to give the whole program instead; its markers say that it is one.
            return rewrite(reply, context.parents[0].files, context.task.editable)
        return apply_changes(reply, context.parents[0].files, context.task.editable)
