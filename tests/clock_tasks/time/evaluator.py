"""The time of day, read in another thread than the one that calls."""
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from time import time

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


def evaluate(program_path):
    program = load(program_path)
    ratios = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        for turn in range(9):
            start = time()
            expected = pool.submit(collatz, 1 + turn).result(timeout=60)
            middle = time()
            answer = pool.submit(program.collatz, 1 + turn).result(timeout=60)
            end = time()
            if answer != expected:
                return {"combined_score": 0.0}
            ratios.append((middle - start) / (end - middle))
    return {"combined_score": sorted(ratios)[len(ratios) // 2]}
