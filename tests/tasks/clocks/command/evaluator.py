"""The time of a command against that of a script here."""
import os
import subprocess
import sys
import time

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.py")


def taken(script, start):
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, script, str(start)], capture_output=True, text=True, timeout=60
    )
    return done.stdout, time.perf_counter() - began


def evaluate(program_path):
    ratios = []
    for turn in range(5):
        expected, theirs = taken(SCRIPT, 1 + turn)
        answer, ours = taken(os.path.abspath(program_path), 1 + turn)
        if not answer or answer != expected:
            return {"combined_score": 0.0}
        ratios.append(theirs / ours)
    return {"combined_score": sorted(ratios)[len(ratios) // 2]}
