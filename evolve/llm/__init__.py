"""Models: one client for every model."""
