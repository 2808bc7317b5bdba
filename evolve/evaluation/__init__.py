"""Scoring: a trusted scorer in a process of its own asks a candidate in a sandbox for data."""

from evolve.evaluation.evaluator import Evaluator, EvaluatorBroken, Verdict, draw_secret

__all__ = ["Evaluator", "EvaluatorBroken", "Verdict", "draw_secret"]
