"""Writes a script that imports the program and pickles what it returns."""
import math
import os
import pickle
import subprocess
import sys
import tempfile

SCRIPT = """
import importlib.util, pickle, sys
spec = importlib.util.spec_from_file_location("program", {program!r})
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
with open({target!r}, "wb") as file:
    pickle.dump(program.numbers(), file)
"""


def evaluate(program_path):
    with tempfile.TemporaryDirectory() as folder:
        target, script = os.path.join(folder, "out.pickle"), os.path.join(folder, "script.py")
        with open(script, "w") as file:
            file.write(SCRIPT.format(program=program_path, target=target))
        process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=20)
        if process.returncode:
            return {"combined_score": 0.0, "error": errors.decode()[-300:]}
        with open(target, "rb") as file:
            given = pickle.load(file)
    error = sum(abs(value - math.sqrt(n)) for n, value in enumerate(given))
    return {"combined_score": 1 - error, "length": len(given)}
