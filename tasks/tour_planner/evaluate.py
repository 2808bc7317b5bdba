"""Length of round trips against the minimum spanning tree, at points that no program has seen."""

import math
import random


def evaluate(candidate, case):
    draw = random.Random(case.seed)
    ratios = []
    for number in range(case.params["instances"]):
        points = [(draw.random(), draw.random()) for _ in range(case.params["points"])]
        answer = candidate.call("tour", [list(point) for point in points])
        order = answer.tolist() if hasattr(answer, "tolist") else answer
        if not isinstance(order, (list, tuple)) or len(order) != len(points) or not all(
                type(stop) is int for stop in order) or sorted(order) != list(range(len(points))):
            candidate.fail(f"instance {number}: tour must return each index from 0 to "
                           f"{len(points) - 1} once")
        length = sum(math.dist(points[a], points[b]) for a, b in zip(order, [*order[1:], order[0]]))
        ratios.append(tree_length(points) / length)
    return {"score": sum(ratios) / len(ratios),
            "feedback": f"tree over tour, instance by instance: {[round(r, 4) for r in ratios]}"}


def tree_length(points):
    """Prim's algorithm."""
    nearest = {i: math.dist(points[0], points[i]) for i in range(1, len(points))}
    total = 0.0
    while nearest:
        chosen = min(nearest, key=nearest.get)
        total += nearest.pop(chosen)
        for i in nearest:
            nearest[i] = min(nearest[i], math.dist(points[chosen], points[i]))
    return total
