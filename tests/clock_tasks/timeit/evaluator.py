"""Times of timeit."""
import importlib.util
import timeit

ROUNDS = 2

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
    if program.collatz(27) != collatz(27):
        return {"combined_score": 0.0}
    theirs = min(timeit.repeat(lambda: collatz(9001), number=5, repeat=9))
    ours = min(timeit.repeat(lambda: program.collatz(9001), number=5, repeat=9))
    return {"combined_score": theirs / ours}
