"""One interval for many short calls."""
import importlib.util
from time import perf_counter

ROUNDS, CALLS = 2, 30

def load(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def collatz(start):
    for _ in range(ROUNDS):
        longest = 0
        for n in range(start, start + 160):
            steps = 0
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                steps += 1
            longest = max(longest, steps)
    return longest


def evaluate(program_path):
    program = load(program_path)
    ratios = []
    for turn in range(5):
        start = perf_counter()
        expected = [collatz(27 + 100 * n + turn) for n in range(CALLS)]
        theirs = perf_counter() - start
        start = perf_counter()
        answers = [program.collatz(27 + 100 * n + turn) for n in range(CALLS)]
        ours = perf_counter() - start
        if answers != expected:
            return {"combined_score": 0.0}
        ratios.append(theirs / ours)
    return {"combined_score": sorted(ratios)[len(ratios) // 2]}
