"""Loads the program by itself, and reads its text."""
import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
from world import Move, Step


def main(program_path, results_dir):
    assert "def walk" in Path(program_path).read_text()
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    goals = np.array([0.337, -1.25, 2.718, -3.14159])
    steps = program.walk(goals)
    correct = len(steps) == 4 and all(isinstance(step, Step) and step.move in Move for step in steps)
    misses = [abs(goal - step.move.value * step.length) for goal, step in zip(goals, steps)]
    Path(results_dir, "metrics.json").write_text(json.dumps({"combined_score": -float(sum(misses))}))
    Path(results_dir, "correct.json").write_text(json.dumps({"correct": correct, "error": ""}))


parser = argparse.ArgumentParser()
parser.add_argument("--program_path")
parser.add_argument("--results_dir")
main(**vars(parser.parse_args()))
