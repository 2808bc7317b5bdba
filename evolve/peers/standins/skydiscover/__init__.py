"""Stands in for SkyDiscover: what its evaluators import."""
