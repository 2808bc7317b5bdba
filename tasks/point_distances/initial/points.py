"""Points that are neither close nor far."""

# EVOLVE-BLOCK-START
def points(n):
    """A square grid."""
    side = 1
    while side * side < n:
        side += 1
    return [(float(k % side), float(k // side)) for k in range(n)]
# EVOLVE-BLOCK-END
