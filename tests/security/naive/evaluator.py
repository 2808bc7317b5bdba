"""The design that everybody begins with: the candidate is imported into the evaluator's process.

It does not even compare badly; what undoes it is that it shares a process, an environment and a folder
with the program that it judges.
"""

import json
import os
import random

API_KEY = os.environ["MODEL_API_KEY"]
RESULTS = "results.json"


def truth(x):
    return x * x


def evaluate():
    import program

    draw = random.Random(random.SystemRandom().random())
    points = [draw.uniform(1.0, 2.0) for _ in range(20)]
    values = program.answer(points)
    right = sum(
        not abs(v - truth(x)) > 1e-9 for x, v in zip(points, values, strict=True)
    )
    return right / len(points)


if __name__ == "__main__":
    score = evaluate()
    with open(RESULTS, "w") as file:
        json.dump({"score": score}, file)
