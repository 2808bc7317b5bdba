"""Smallest triangle among points in a triangle, in exact rational arithmetic."""

from fractions import Fraction
from itertools import combinations


def evaluate(candidate, case):
    n = case.params["n"]
    points = read_points(candidate, candidate.call("points", n), n)
    for number, (x, y) in enumerate(points):
        if x < 0 or y < 0 or x + y > 1:
            candidate.fail(f"point {number} lies outside the triangle: {float(x)!r}, {float(y)!r}")
    area, where = min((twice_the_area(*(points[i] for i in three)), three)
                      for three in combinations(range(n), 3))
    return {"score": float(area), "feedback": f"the smallest triangle has the points {where}"}


def twice_the_area(a, b, c):
    """Which is its part of the whole triangle's area of one half."""
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))


def read_points(candidate, answer, n):
    """The answer as exact rationals."""
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(rows, (list, tuple)) or len(rows) != n:
        candidate.fail(f"points({n}) must return {n} pairs (x, y)")
    points = []
    for number, row in enumerate(rows):
        row = row.tolist() if hasattr(row, "tolist") else row
        if not isinstance(row, (list, tuple)) or len(row) != 2 or not all(
                type(v) in (int, float) for v in row):
            candidate.fail(f"point {number} must be two real numbers (x, y)")
        points.append(tuple(Fraction(v) for v in row))
    return points
