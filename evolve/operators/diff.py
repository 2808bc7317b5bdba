"""`diff`: a model answers with SEARCH/REPLACE blocks on whole lines."""

from __future__ import annotations

from evolve.operators.model_operator import ModelOperator


class Diff(ModelOperator):
    """Small changes of a large program."""

    name = "diff"
    instruction = "diff.j2"
    whole = False
