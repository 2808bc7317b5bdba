"""`EvaluationResult`, as in OpenEvolve."""

from openevolve.evaluation_result import EvaluationResult

__all__ = ["EvaluationResult"]
