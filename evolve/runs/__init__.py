"""Runs: starting, resuming, replaying, reading, comparing and verifying a run directory."""
