"""The time of a command against that of a script here."""
import os
import subprocess
import sys
import time

ROUNDS = 2
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.py")


def collatz(start):
    for _ in range(ROUNDS):
        longest = 0
        for n in range(start, start + 40000):
            steps = 0
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                steps += 1
            longest = max(longest, steps)
    return longest


def taken(script, start):
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, script, str(start)], capture_output=True, text=True, timeout=60
    )
    return done.stdout, time.perf_counter() - began


def evaluate(program_path):
    ratios = []
    for turn in range(3):
        expected, theirs = taken(SCRIPT, 1 + turn)
        answer, ours = taken(os.path.abspath(program_path), 1 + turn)
        if not answer or answer != expected:
            return {"combined_score": 0.0}
        ratios.append(theirs / ours)
    return {"combined_score": sorted(ratios)[len(ratios) // 2]}
