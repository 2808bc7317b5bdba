"""Sum of radii of circles in the unit square, verified in exact rational arithmetic."""

from fractions import Fraction


def evaluate(candidate, case):
    n = case.params["n"]
    circles = read_circles(candidate, candidate.call("pack", n), n)
    verify(candidate, circles)
    total = float(sum(r for _, _, r in circles))
    smallest = min(range(n), key=lambda i: circles[i][2])
    x, y, r = (float(v) for v in circles[smallest])
    return {
        "score": total,
        "metrics": {"smallest_radius": r, "largest_radius": float(max(c[2] for c in circles))},
        "feedback": f"sum of radii {total!r}; the smallest circle is number {smallest} at "
                    f"({x:.4f}, {y:.4f}) with radius {r:.6f}",
    }


def read_circles(candidate, answer, n):
    """The answer as exact rationals: a float is a rational number, so nothing is rounded."""
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(rows, (list, tuple)) or len(rows) != n:
        candidate.fail(f"pack({n}) must return {n} circles (x, y, r)")
    circles = []
    for number, row in enumerate(rows):
        row = row.tolist() if hasattr(row, "tolist") else row
        if not isinstance(row, (list, tuple)) or len(row) != 3 or not all(
                type(v) in (int, float) for v in row):
            candidate.fail(f"circle {number} must be three real numbers (x, y, r)")
        circles.append(tuple(Fraction(v) for v in row))
    return circles


def verify(candidate, circles):
    """Every circle inside, no two overlapping; no tolerance."""
    for i, (x, y, r) in enumerate(circles):
        if r < 0:
            candidate.fail(f"circle {i} has a negative radius: {float(r)!r}")
        outside = max(r - x, r - y, x + r - 1, y + r - 1)
        if outside > 0:
            candidate.fail(f"circle {i} leaves the square by {float(outside):.3e}")
        for j in range(i):
            u, v, s = circles[j]
            if (x - u) ** 2 + (y - v) ** 2 < (r + s) ** 2:
                gap = ((float(x - u)) ** 2 + (float(y - v)) ** 2) ** 0.5 - float(r + s)
                candidate.fail(f"circles {j} and {i} overlap by {-gap:.3e}")
