"""The trivial task in OpenEvolve's format."""

import os
import runpy


def evaluate(program_path):
    value = float(runpy.run_path(program_path)["value"]())
    with open(os.environ["EVALUATED"], "a") as file:
        file.write("1\n")
    return {"combined_score": value / (1.0 + abs(value))}
