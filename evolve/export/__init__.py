"""A run as files for others: tables, a page, a git branch, training data, a report."""
