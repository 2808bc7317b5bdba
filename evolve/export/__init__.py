"""Exports of a run: tables, a page, a git branch, training data, a report."""
