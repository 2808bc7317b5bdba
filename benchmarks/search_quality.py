"""Compare policies on a task at equal evaluations: best score of each seed, and the median.

    python -m benchmarks.search_quality tasks/circle_packing --policies map_elites best_of_n --seeds 5

Runs `evolve run` itself, in the sandbox it would use. Prints a table and, with --json, the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from statistics import median

from evolve.search import POLICIES


def main() -> None:
    """Run every policy with every seed, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--policies", nargs="+", default=[*POLICIES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-variants", type=int, default=300)
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--window", type=int, default=8, help="repeatable: the same table each time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    table = {}
    with tempfile.TemporaryDirectory() as runs:
        for policy in given.policies:
            table[policy] = [one_run(given, policy, seed, runs) for seed in range(given.seeds)]
            if not given.json:
                print_row(policy, table[policy])
    if given.json:
        sys.stdout.write(json.dumps(table) + "\n")


def print_row(policy: str, rows: list[dict[str, float]]) -> None:
    """The best of each seed, and what lies between."""
    scores = [row["best"] for row in rows]
    sys.stdout.write(
        f"{policy:<12} median {median(scores):.6f}  x seed {median(scores) / rows[0]['seed']:.3f}"
        f"  each {' '.join(f'{score:.4f}' for score in scores)}"
        f"  seconds {median(row['seconds'] for row in rows):.1f}\n")
    sys.stdout.flush()


def one_run(given: argparse.Namespace, policy: str, seed: int, runs: str) -> dict[str, float]:
    """One `evolve run`; its seed's score, best score and whole wall time."""
    started = time.perf_counter()
    done = subprocess.run(
        ["evolve", "run", given.task, "--policy", policy, "--seed", str(seed), "--runs-dir", runs,
         "--max-variants", str(given.max_variants), "--sandbox", given.sandbox, "--window",
         str(given.window), "--json"],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"evolve run failed: {done.stderr}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {"seed": events[0]["best"]["score"], "best": events[-1]["best"]["score"],
            "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
