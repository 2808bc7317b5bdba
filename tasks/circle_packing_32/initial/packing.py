"""Pack n circles into the unit square: rings around the centre."""

import math


# EVOLVE-BLOCK-START
def ring(count, radius, turn):
    """Positions at equal angles on a circle around the centre of the square."""
    angles = [turn + 2.0 * math.pi * k / count for k in range(count)]
    return [(0.5 + radius * math.cos(a), 0.5 + radius * math.sin(a)) for a in angles]


def centers(n):
    """Positions: one circle in the middle, the others on two rings around it."""
    inner = 8
    return [(0.5, 0.5)] + ring(inner, 0.12, 0.0) + ring(n - 1 - inner, 0.21, 0.1)


def radii(points):
    """Half the way to the nearest neighbour, or what the border leaves."""
    sizes = []
    for i, (x, y) in enumerate(points):
        room = min(x, y, 1.0 - x, 1.0 - y)
        for j, (u, v) in enumerate(points):
            if i != j:
                room = min(room, math.hypot(x - u, y - v) / 2.0)
        sizes.append(room * 0.999999)
    return sizes


def pack(n):
    """A list of (x, y, r)."""
    points = centers(n)
    return [(x, y, r) for (x, y), r in zip(points, radii(points))]
# EVOLVE-BLOCK-END
