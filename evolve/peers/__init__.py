"""Unmodified evaluators of other engines, with the candidate in another process."""
