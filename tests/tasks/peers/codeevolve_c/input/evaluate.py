"""Compiles a C program and runs it."""
import json
import os
import subprocess
import sys
import tempfile


def evaluate(program_path, results_path):
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "adder")
        subprocess.run(["gcc", "-O1", program_path, "-o", program], check=True, capture_output=True)
        done = subprocess.run([program], input="1 2 3 4.5\n", text=True, capture_output=True)
    with open(results_path, "w") as file:
        json.dump({"combined_score": 1 / (1 + abs(10.5 - float(done.stdout)))}, file)


evaluate(*sys.argv[1:])
