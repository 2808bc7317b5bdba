"""Points in a triangle, no three nearly on a line."""

import random


# EVOLVE-BLOCK-START
def points(n):
    """The best of some random placements."""
    rng = random.Random(7)
    return max((draw(rng, n) for _ in range(30)), key=smallest)


def draw(rng, n):
    """Points that fill the triangle evenly."""
    found = []
    for _ in range(n):
        x, y = rng.random(), rng.random()
        found.append((1 - x, 1 - y) if x + y > 1 else (x, y))
    return found


def smallest(found):
    """The smallest area, doubled."""
    return min(abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))
               for i, a in enumerate(found) for j, b in enumerate(found[:i]) for c in found[:j])
# EVOLVE-BLOCK-END
