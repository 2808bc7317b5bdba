"""A first tour."""

import math


def first_tour(points):
    """Always to the nearest that is left."""
    left = list(range(1, len(points)))
    order = [0]
    while left:
        here = points[order[-1]]
        nearest = min(left, key=lambda i: math.dist(here, points[i]))
        left.remove(nearest)
        order.append(nearest)
    return order
