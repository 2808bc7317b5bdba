"""Asks a Python of its own, with the script on its command line."""
import json
import os
import subprocess
import sys


def evaluate(program_path, results_path):
    code = (f"import sys; sys.path.insert(0, {os.path.dirname(program_path)!r}); "
            f"import {os.path.basename(program_path)[:-3]} as program; print(program.add([1, 2, 3]))")
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    with open(results_path, "w") as file:
        json.dump({"combined_score": 1 / (1 + abs(6 - float(printed)))}, file)


evaluate(*sys.argv[1:])
