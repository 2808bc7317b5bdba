"""`refine`: looks at what was tried on this very program, and avoids it (SE-Agent's revision)."""

from __future__ import annotations

from evolve.operators.model_operator import ModelOperator


class Refine(ModelOperator):
    """A change that none of the earlier attempts made."""

    name = "refine"
    shows = ("rows", "tried", "failures")
    instruction = "refine.j2"
