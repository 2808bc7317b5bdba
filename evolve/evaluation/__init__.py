"""Scoring: a trusted scorer in a process of its own asks a candidate in a sandbox for data."""

from evolve.evaluation.evaluator import Evaluator, EvaluatorBroken, Verdict, draw_secret
from evolve.peers.shared import EVALUATOR_SHARED

__all__ = ["EVALUATOR_SHARED", "Evaluator", "EvaluatorBroken", "Verdict", "draw_secret"]
