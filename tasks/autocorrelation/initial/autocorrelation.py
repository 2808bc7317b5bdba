"""Heights of a step function whose autoconvolution is flat."""

# EVOLVE-BLOCK-START
def heights(n):
    """Higher at the ends."""
    return [1.0 + 2.0 * (2 * k / (n - 1) - 1) ** 2 for k in range(n)]
# EVOLVE-BLOCK-END
