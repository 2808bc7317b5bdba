"""The loop, and the only writer of a run."""
