"""Agents as variants: they work in a sandbox, reach a model through a proxy, and are scored by what
they leave behind.
"""

from evolve.agents.evaluator import AgentEvaluator
from evolve.agents.runner import AgentRunner

__all__ = ["AgentEvaluator", "AgentRunner"]
