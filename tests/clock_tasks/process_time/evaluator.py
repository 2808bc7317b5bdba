"""CPU time of the process."""
import importlib.util
import time

ROUNDS = 2

def load(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def collatz(start):
    for _ in range(ROUNDS):
        longest = 0
        for n in range(start, start + 800):
            steps = 0
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                steps += 1
            longest = max(longest, steps)
    return longest


def taken(function, limit):
    start = time.process_time()
    answer = function(limit)
    return answer, time.process_time() - start


def evaluate(program_path):
    program = load(program_path)
    ratios = []
    for turn in range(9):
        expected, theirs = taken(collatz, 1 + turn)
        answer, ours = taken(program.collatz, 1 + turn)
        if answer != expected:
            return {"combined_score": 0.0}
        ratios.append(theirs / ours)
    return {"combined_score": sorted(ratios)[len(ratios) // 2]}
