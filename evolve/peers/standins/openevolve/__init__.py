"""Stands in for OpenEvolve: what its evaluators import."""
