"""Numbers of programs tuned without a model."""

from evolve.tuning.tuner import Tuner

__all__ = ["Tuner"]
