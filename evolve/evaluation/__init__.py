"""Scoring: a trusted scorer in a separate process asks a sandboxed candidate for data.

Nothing is imported here, so that the scorer's process starts with the minimum.
"""
