"""Starts the program as a command: input and output are files."""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main(program_path, results_dir):
    numbers = [1, 2, 3, 5, 8]
    with tempfile.TemporaryDirectory() as folder:
        question, answers = Path(folder, "question.json"), Path(folder, "answers.json")
        question.write_text(json.dumps(numbers))
        done = subprocess.run([sys.executable, program_path, str(question), str(answers)],
                              capture_output=True, text=True, timeout=20)
        given = json.loads(answers.read_text()) if answers.exists() else []
    good = sum(a == n * (n + 1) / 2 for a, n in zip(given, numbers))
    correct = done.returncode == 0 and len(given) == len(numbers)
    Path(results_dir, "metrics.json").write_text(json.dumps({"combined_score": good / 5}))
    Path(results_dir, "correct.json").write_text(json.dumps({"correct": correct, "error": done.stderr}))


parser = argparse.ArgumentParser()
parser.add_argument("--program_path")
parser.add_argument("--results_dir")
main(**vars(parser.parse_args()))
