"""An evolutionary code-search engine: programs and agents, scored where they can't cheat."""

__version__ = "0.1.0"
