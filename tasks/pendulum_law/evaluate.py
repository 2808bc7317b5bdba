"""Digits of a law for the pendulum, at points that are drawn anew in every run."""

import math
import random


def evaluate(candidate, case):
    draw = random.Random(case.seed)
    errors = []
    for _ in range(case.params["points"]):
        length, gravity, angle = draw.uniform(0.1, 10), draw.uniform(1, 25), draw.uniform(0.05, 2.8)
        answer = candidate.call("period", length, gravity, angle)
        if type(answer) not in (int, float) or not 0 < answer < 1e6:
            candidate.fail(f"period must return seconds, a number from 0 to a million: {answer!r:.60}")
        true = exact(length, gravity, angle)
        errors.append((abs(answer - true) / true, angle))
    mean = sum(error for error, _ in errors) / len(errors)
    worst, angle = max(errors)
    return {"score": min(12.0, -math.log10(max(mean, 1e-12))), "metrics": {"worst": worst},
            "feedback": f"the largest relative error, {worst:.3e}, is at the angle {angle:.3f}"}


def exact(length, gravity, angle):
    """By the arithmetic-geometric mean of 1 and cos(angle / 2)."""
    a, b = 1.0, math.cos(angle / 2)
    for _ in range(8):
        a, b = (a + b) / 2, math.sqrt(a * b)
    return 2 * math.pi * math.sqrt(length / gravity) / a
