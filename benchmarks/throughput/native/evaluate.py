def evaluate(candidate, case):
    value = candidate.call("value")
    if type(value) not in (int, float):
        candidate.fail("a number was asked for")
    return {"score": float(value) / (1.0 + abs(value))}
