"""Largest over smallest squared distance among points of the plane, exactly."""

from fractions import Fraction
from itertools import combinations


def evaluate(candidate, case):
    n = case.params["n"]
    points = read_points(candidate, candidate.call("points", n), n)
    distances = sorted(((points[i][0] - points[j][0]) ** 2 + (points[i][1] - points[j][1]) ** 2, i, j)
                       for i, j in combinations(range(n), 2))
    near, far = distances[0], distances[-1]
    if near[0] == 0:
        candidate.fail(f"points {near[1]} and {near[2]} are the same")
    return {"score": float(far[0] / near[0]),
            "feedback": f"nearest are {near[1]} and {near[2]}, farthest {far[1]} and {far[2]}"}


def read_points(candidate, answer, n):
    """The answer as exact rationals."""
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(rows, (list, tuple)) or len(rows) != n:
        candidate.fail(f"points({n}) must return {n} pairs (x, y)")
    points = []
    for number, row in enumerate(rows):
        row = row.tolist() if hasattr(row, "tolist") else row
        if not isinstance(row, (list, tuple)) or len(row) != 2 or not all(
                type(v) in (int, float) and abs(v) <= 1e6 for v in row):
            candidate.fail(f"point {number} must be two real numbers (x, y) of at most a million")
        points.append(tuple(Fraction(v) for v in row))
    return points
