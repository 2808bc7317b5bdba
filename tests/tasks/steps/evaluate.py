def evaluate(candidate, case):
    value = candidate.call("slow_value")
    if type(value) is not float:
        candidate.fail(f"a number was asked for, not {type(value).__name__}")
    return {"score": value / (1.0 + abs(value)), "feedback": f"value {value!r}"}
