"""A number with noise that belongs to the attempt, so that the same run gives the same scores."""

import random


def evaluate(candidate, case):
    value = candidate.call("value")
    if type(value) is not float:
        candidate.fail(f"a number was asked for, not {type(value).__name__}")
    noise = random.Random(f"{case.seed} {case.id} {case.attempt} {value}").gauss(0.0, 0.2)
    return {"score": value / (1.0 + abs(value)) + noise, "metrics": {"measured": (case.attempt, noise)},
            "feedback": f"value {value!r}, and noise"}
