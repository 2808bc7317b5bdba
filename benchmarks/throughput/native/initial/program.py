"""A program that costs nothing to run, so that the engine is measured."""


# EVOLVE-BLOCK-START
def value():
    """One number."""
    base = 1.25
    step = 0.5
    return base + step * 3.0


# EVOLVE-BLOCK-END
