"""Stands in for ShinkaEvolve: what its evaluators import."""
