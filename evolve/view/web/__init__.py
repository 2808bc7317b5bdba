"""The pages of a run: served on loopback, or written into one file."""
