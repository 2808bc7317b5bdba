"""Least times, by nanoseconds of the monotonic clock, for an answer of 800 kB."""
import importlib.util
from time import monotonic_ns

import numpy as np

ROUNDS = 2

def load(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference(array):
    for _ in range(ROUNDS):
        result = np.sort(array, axis=0)
    return result


def seconds(function, array):
    start = monotonic_ns()
    answer = function(array)
    return answer, monotonic_ns() - start


def evaluate(program_path):
    program = load(program_path)
    rng = np.random.default_rng(2)
    ours, theirs = [], []
    for _ in range(7):
        array = rng.random((500, 200))
        expected, taken = seconds(reference, array)
        theirs.append(taken)
        answer, taken = seconds(program.sort_columns, array)
        ours.append(taken)
        if not np.array_equal(answer, expected):
            return {"combined_score": 0.0}
    return {"combined_score": min(theirs) / min(ours)}
