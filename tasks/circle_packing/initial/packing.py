"""Pack n circles into the unit square: rings around the centre, all radii equal."""

import math


# EVOLVE-BLOCK-START
def centers(n):
    """Positions: one circle in the middle, then rings, the rest along the bottom."""
    points = [(0.5, 0.5)]
    for count, radius, turn in ((8, 0.22, 0.0), (13, 0.40, 0.1)):
        for k in range(count):
            angle = turn + 2.0 * math.pi * k / count
            points.append((0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle)))
    corner = 0.05
    points.append((corner, corner))
    points.append((1.0 - corner, corner))
    points.append((corner, 1.0 - corner))
    points.append((1.0 - corner, 1.0 - corner))
    return points[:n]


def radii(points):
    """One radius for all: half the smallest distance, or what the border leaves."""
    room = 0.04
    for i, (x, y) in enumerate(points):
        room = min(room, x, y, 1.0 - x, 1.0 - y)
        for u, v in points[:i]:
            room = min(room, math.hypot(x - u, y - v) / 2.0)
    return [room * 0.99 for _ in points]


def pack(n):
    """A list of (x, y, r)."""
    points = centers(n)
    return [(x, y, r) for (x, y), r in zip(points, radii(points))]
# EVOLVE-BLOCK-END
