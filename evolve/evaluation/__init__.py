"""Scoring: a trusted scorer in a process of its own asks a candidate in a sandbox for data.

Nothing is imported here, so that the scorer's process starts with only what it needs.
"""
