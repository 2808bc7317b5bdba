"""The page of a run: rendered here, served on loopback, or written into one file."""
