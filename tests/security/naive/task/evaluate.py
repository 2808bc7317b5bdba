"""The same task as `evaluator.py` beside this folder, scored from outside the candidate."""

import random


def evaluate(candidate, case):
    draw = random.Random(case.seed)
    points = [draw.uniform(1.0, 2.0) for _ in range(20)]
    values = candidate.call("answer", points)
    if type(values) is not list or len(values) != len(points):
        candidate.fail("one value for each point was asked for")
    right = sum(
        type(v) is float and abs(v - x * x) < 1e-9
        for x, v in zip(points, values, strict=True)
    )
    return right / len(points)
