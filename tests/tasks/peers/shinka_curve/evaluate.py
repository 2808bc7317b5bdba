"""Closeness to the sine, through the engine's own helper."""
import argparse
import math

from shinka.core import run_shinka_eval


def validate(output):
    if len(output) != 8:
        return False, f"8 values are wanted, not {len(output)}"
    return True, None


def aggregate(results):
    error = sum(abs(value - math.sin(i / 7 + run / 100))
                for run, values in enumerate(results, 1) for i, value in enumerate(values))
    return {"combined_score": 1 / (1 + error), "public": {"error": error},
            "private": {"secret": 1}, "text_feedback": "closer to the sine is better"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--program_path")
    parser.add_argument("--results_dir")
    given = parser.parse_args()
    run_shinka_eval(given.program_path, given.results_dir, "run_curve", 3,
                    aggregate_metrics_fn=aggregate, validate_fn=validate)
