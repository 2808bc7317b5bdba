"""`diff`: a model answers with SEARCH/REPLACE blocks on whole lines."""

from __future__ import annotations

from evolve.operators.context import Context
from evolve.operators.model_operator import ModelOperator

SHORT_BYTES = 8000  # of an editable program that may as well be written anew


class Diff(ModelOperator):
    """Small changes of a large program."""

    name = "diff"
    instruction = "diff.j2"
    whole = False

    def anew(self, context: Context) -> bool:
        """Who could not copy lines seldom can the next time; a short program is soon written."""
        files = context.parents[0].files
        return sum(len(files[path]) for path in context.task.edits.within(files)) <= SHORT_BYTES
