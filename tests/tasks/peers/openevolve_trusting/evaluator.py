"""Uses answers in every way that evaluators have; the program says which."""
import base64
import ctypes
import importlib.util
import json
import marshal
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
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


def _executes_base64(program, path):
    found = {}
    exec(base64.b64decode(program.run()), found)
    return found["VALUE"]


def _evaluates_json(program, path):
    return eval(json.loads(program.run()))


def _evaluates_numbers(program, path):
    return eval(bytes(program.run()))


def _unpickles_numbers(program, path):
    return sum(pickle.loads(bytes(program.run())))


def _reads_yaml(program, path):
    import yaml

    return sum(yaml.unsafe_load(program.run()))


def _asks_a_table(program, path):
    import pandas

    return pandas.DataFrame({"a": [0.5, 0.5, 0.5]}).eval(program.run()).sum()


def _marshalled(program, path):
    found = marshal.loads(program.run())
    return sum(eval(found))


def _loads_a_library(program, path):
    made = path.replace(".py", "_made.so")
    with open(made, "wb") as file:
        file.write(program.run())
    library = ctypes.CDLL(made)
    library.lround.argtypes = [ctypes.c_double]
    return library.lround(999.0)


def _imported(made):
    spec = importlib.util.spec_from_file_location("made", made)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VALUE


def _imports_byte_code(program, path):
    made = path.replace(".py", "_made.pyc")
    with open(made, "wb") as file:
        file.write(program.run())
    return _imported(made)


def _triple(number):
    return 3 * number


def _in_processes(program, path):
    number = float(program.run())
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(_triple, number).result()


def _knows_itself(program, path):
    return 0.5 * len(program.run()) * eval("sum([1])")


def _imports_text(program, path):
    made = path.replace(".py", "_made.py")
    with open(made, "w") as file:
        file.write(program.run())
    return _imported(made)


def _calls_back(program, path):
    return program.run(lambda function: function(1))


def _adds_up(program, path):
    return np.array(program.run()).sum()


def _sized(program, path):
    return np.ones(program.run()).sum()


def evaluate(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return {"combined_score": float(globals()["_" + program.HOW](program, path))}
