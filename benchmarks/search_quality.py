"""Compare policies on a task at equal evaluations: best score of each seed, and the median.

    python -m benchmarks.search_quality tasks/circle_packing --policies map_elites best_of_n --seeds 5

Runs `evolve run` in its default sandbox. Prints a table or, with --json, the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import markdown
from evolve.search import POLICIES
from evolve.tasks import load_task


def main() -> None:
    """Run every policy with every seed, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--policies", nargs="+", default=[*POLICIES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-variants", type=int, default=300)
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument(
        "--window", type=int, default=8, help="repeatable: the same table each time"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    table = {}
    with tempfile.TemporaryDirectory() as runs:
        for policy in given.policies:
            table[policy] = [
                one_run(given, policy, seed, runs) for seed in range(given.seeds)
            ]
            sys.stderr.write(f"{policy}: {given.seeds} runs done\n")
    if given.json:
        sys.stdout.write(json.dumps(table) + "\n")
        return
    maximize = load_task(Path(given.task)).spec.maximize
    ranked = sorted(table, key=lambda policy: middle(table[policy]), reverse=maximize)
    sys.stdout.write(
        markdown.table(
            ["policy", "median best", "times the seed", "best of each seed", "seconds"],
            (shown(policy, table[policy]) for policy in ranked),
        )
    )


def middle(rows: list[dict[str, float]]) -> float:
    """Return the median over seeds of the best score."""
    return median(row["best"] for row in rows)


def shown(name: str, rows: list[dict[str, float]]) -> list[str]:
    """Return a row: the median, and the best score of each seed."""
    scores = [row["best"] for row in rows]
    return [
        name,
        f"{middle(rows):.4f}",
        f"{middle(rows) / rows[0]['seed']:.3f}",
        " ".join(f"{score:.4f}" for score in scores),
        f"{median(row['seconds'] for row in rows):.1f}",
    ]


def one_run(
    given: argparse.Namespace, policy: str, seed: int, runs: str
) -> dict[str, float]:
    """Execute `evolve run`; return the score of its seed, its best score and its wall time."""
    started = time.perf_counter()
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "evolve"),
            "run",
            given.task,
            "--policy",
            policy,
            "--seed",
            str(seed),
            "--runs-dir",
            runs,
            "--max-variants",
            str(given.max_variants),
            "--sandbox",
            given.sandbox,
            "--window",
            str(given.window),
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"evolve run failed: {done.stderr}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        "seed": events[0]["best"]["score"],
        "best": events[-1]["best"]["score"],
        "seconds": time.perf_counter() - started,
    }


if __name__ == "__main__":
    main()
