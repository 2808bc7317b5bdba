"""Uses answers in every way that evaluators have; the program says which."""
import base64
import importlib.util
import pickle
import subprocess
import sys
from pickle import loads

import numpy as np


def _printed(path):
    return subprocess.run([sys.executable, path], capture_output=True, text=True).stdout


def _inside(radii):
    return len(radii) == 3 and all(0 < radii[i] <= 1 for i in range(3))


def _loops(program, path):
    radii = program.run()
    return sum(radii) if len(radii) == 3 and all(0 < r <= 1 for r in radii) else 0


def _indexes(program, path):
    radii = program.run()
    return sum(list(radii)) if _inside(radii) else 0


def _numpy(program, path):
    radii = program.run()
    return np.sum(radii) if _inside(radii) else 0


def _methods(program, path):
    radii = program.run()
    fits = radii.shape == (3,) and radii.min() > 0 and radii.max() <= 1
    return radii.sum() if fits else 0


def _unpickles_prints(program, path):
    return sum(pickle.loads(base64.b64decode(_printed(path))))


def _unpickles_bytes(program, path):
    return sum(loads(program.run()))


def _evaluates_prints(program, path):
    return sum(eval(_printed(path)))


def _evaluates_text(program, path):
    return eval("lambda x: " + program.run())(1.5)


def _imports_text(program, path):
    made = path.replace(".py", "_made.py")
    with open(made, "w") as file:
        file.write(program.run())
    spec = importlib.util.spec_from_file_location("made", made)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VALUE


def _calls_back(program, path):
    return program.run(lambda function: function(1))


def _adds_up(program, path):
    return np.array(program.run()).sum()


def evaluate(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return {"combined_score": float(globals()["_" + program.HOW](program, path))}
