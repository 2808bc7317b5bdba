"""A run folder, from its start to its verification."""
