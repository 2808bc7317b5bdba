"""Compare runs without a model, with and without the operator `tune`, at equal evaluations.

    python -m benchmarks.literal_tuning tasks/circle_packing tasks/cap_set --seeds 20

Prints for each task the median best score of both with an interval of the median of at
least 95 % (binomial, from order statistics; of 5 seeds the range, 94 %), and how often tuning was better, equal and worse.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import markdown
from evolve.tasks import load_task

OPERATORS = {
    "before": ["--operator", "syntactic=0.7", "--operator", "recombine=0.3"],
    "after": [],
}


def main() -> None:
    """Run every task with every seed, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--max-variants", type=int, default=299, help="and the seed")
    parser.add_argument("--sandbox", default="bubblewrap")
    parser.add_argument("--sides", nargs="+", default=[*OPERATORS])
    given = parser.parse_args()
    rows = []
    for task in given.tasks:
        found = {side: all_runs(given, task, side) for side in given.sides}
        rows.append(shown(task, found, given))
        sys.stderr.write(f"{task}: {json.dumps(found)}\n")
    sys.stdout.write(
        markdown.table(
            ["task", "n", *given.sides, "better, equal, worse"],
            rows,
        )
    )


def all_runs(given: argparse.Namespace, task: str, side: str) -> list[float]:
    """Return the best score of each seed."""
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    with tempfile.TemporaryDirectory() as runs:
        return [one_run(given, task, side, seed, runs) for seed in seeds]


def shown(
    task: str, found: dict[str, list[float]], given: argparse.Namespace
) -> list[str]:
    """Return a row of the table."""
    spec = load_task(Path(task)).spec
    arrow = "" if spec.maximize else " (lower)"
    return [
        f"{Path(task).name}{arrow}",
        str(given.seeds),
        *(with_interval(scores) for scores in found.values()),
        wins([*found.values()], spec.maximize),
    ]


def with_interval(scores: list[float]) -> str:
    """Return the median and its interval; with few seeds, the whole range."""
    ordered = sorted(scores)
    skip = max(0, int((len(ordered) - 1.96 * len(ordered) ** 0.5) / 2) - 1)
    low, high = ordered[skip], ordered[-1 - skip]
    return f"{median(ordered):.5g} [{low:.5g}, {high:.5g}]"


def wins(sides: list[list[float]], maximize: bool) -> str:
    """Return how many seeds are better, equal and worse after; empty for one side."""
    if len(sides) < 2:
        return ""
    before, after = sides[0], sides[-1]
    sign = 1 if maximize else -1
    changes = [sign * (b - a) for a, b in zip(before, after, strict=True)]
    better, worse = sum(c > 0 for c in changes), sum(c < 0 for c in changes)
    return f"{better}-{len(changes) - better - worse}-{worse}"


def one_run(
    given: argparse.Namespace, task: str, side: str, seed: int, runs: str
) -> float:
    """Execute `evolve run` and return its best score."""
    command = [
        str(Path(sys.executable).parent / "evolve"),
        *("run", task, "--seed", str(seed), "--runs-dir", runs, "--json"),
        *("--max-variants", str(given.max_variants), "--sandbox", given.sandbox),
        *OPERATORS[side],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"evolve run failed: {done.stderr}")
    last = json.loads(done.stdout.splitlines()[-1])
    return float(last["best"]["score"])


if __name__ == "__main__":
    main()
