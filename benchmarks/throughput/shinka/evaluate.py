"""The trivial task in ShinkaEvolve's format."""

import argparse
import json
import os
import runpy

parser = argparse.ArgumentParser()
parser.add_argument("--program_path")
parser.add_argument("--results_dir")
given = parser.parse_args()
value = float(runpy.run_path(given.program_path)["value"]())
os.makedirs(given.results_dir, exist_ok=True)
with open(os.path.join(given.results_dir, "metrics.json"), "w") as file:
    json.dump(
        {"combined_score": value / (1.0 + abs(value)), "public": {}, "private": {}},
        file,
    )
with open(os.path.join(given.results_dir, "correct.json"), "w") as file:
    json.dump({"correct": True, "error": ""}, file)
with open(os.environ["EVALUATED"], "a") as file:
    file.write("1\n")
