"""What is evolved costs nothing to run: what is measured is the engine."""


# EVOLVE-BLOCK-START
def value():
    """One number."""
    base = 1.25
    step = 0.5
    return base + step * 3.0


# EVOLVE-BLOCK-END
