"""Heights of a function that overlaps little with its own complement."""

# EVOLVE-BLOCK-START
def heights(n):
    """High in the middle, low at the ends."""
    return [0.2 + 0.8 * (1 - abs(2 * k / (n - 1) - 1)) for k in range(n)]
# EVOLVE-BLOCK-END
