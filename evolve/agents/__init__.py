"""Agents as variants.

They work in a sandbox, reach a model through a proxy, and are scored by the workspace
that they produce.
"""

from evolve.agents.evaluator import AgentEvaluator
from evolve.agents.runner import AgentRunner

__all__ = ["AgentEvaluator", "AgentRunner"]
