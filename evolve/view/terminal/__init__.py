"""Runs on a terminal: lists, trees, tables, plots and the live view."""
