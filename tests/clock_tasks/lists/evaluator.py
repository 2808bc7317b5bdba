"""Medians of perf_counter_ns; arguments and answers are lists."""
import importlib.util
import random
import statistics
import time

ROUNDS = 2

def load(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference(numbers):
    for _ in range(4 * ROUNDS):
        total, result = 0, []
        for number in numbers:
            total = (total + number**5 % 101) % 1_000_003
            result.append(total)
    return result


def evaluate(program_path):
    program = load(program_path)
    rng = random.Random(3)
    times = {"ours": [], "theirs": []}
    for _ in range(9):
        numbers = [rng.randrange(1000) for _ in range(20_000)]
        start = time.perf_counter_ns()
        expected = reference(numbers)
        middle = time.perf_counter_ns()
        answer = program.prefix_sums(numbers)
        end = time.perf_counter_ns()
        if answer != expected:
            return {"combined_score": 0.0}
        times["theirs"].append(middle - start)
        times["ours"].append(end - middle)
    found = {name: statistics.median(values) for name, values in times.items()}
    return {"combined_score": found["theirs"] / found["ours"], **found}
