"""`rewrite`: a model answers with the whole new text. The reliable form for small models."""

from __future__ import annotations

from evolve.operators.model_operator import ModelOperator


class Rewrite(ModelOperator):
    """A new program in place of the old one."""

    name = "rewrite"
    instruction = "rewrite.j2"
