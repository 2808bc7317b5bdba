"""Compare the scores of hostile programs in another engine's process and in evolve.

    python -m benchmarks.peers_attacks DIR... [--sandbox bubblewrap] [--limit 100]

The peer's evaluator runs on a copy of the directory in one process with the program, as its engine
runs it: without a sandbox. The programs are those of `evolve check` that attack the process of the
evaluator without damage beyond the score. A cell has their score there, and their score in evolve.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import markdown
from benchmarks.peers_tasks import Scored, in_its_own_process, tasks_below
from evolve.checking.attacks import armed
from evolve.evaluation.evaluator import Verdict
from evolve.runs.evaluator import open_evaluator
from evolve.tasks import Task, load_task

ATTACKS = ("nan", "names rebound", "libraries changed", "forged results", "odd floats")


def main() -> int:
    """Print a row per directory; return 1 if an attack beat a repeatable seed in evolve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--sandbox", default="bubblewrap")
    parser.add_argument(
        "--limit", type=float, default=100.0, help="seconds for a peer's evaluation"
    )
    given = parser.parse_args()
    folders = [
        found for folder in given.folders for found in tasks_below(folder.resolve())
    ]
    above = Path(os.path.commonpath([folder.parent for folder in folders]))
    rows, held = [], True
    for folder in folders:
        task = load_task(folder)
        seed, *tried, again = scored_here(task, given.sandbox)
        cells = [
            _cell(there, here)
            for there, here in zip(scored_there(task, given.limit), tried, strict=True)
        ]
        held = held and (
            seed.score != again.score
            or not any(
                verdict.failed is None and verdict.score > seed.score + 1e-12
                for verdict in tried
            )
        )
        rows.append([str(folder.relative_to(above)), f"{seed.score:.6g}", *cells])
        sys.stderr.write(" | ".join(rows[-1]) + "\n")
    sys.stdout.write(markdown.table(("directory", "seed", *ATTACKS), rows))
    return 0 if held else 1


def scored_there(task: Task, limit_s: float) -> list[Scored]:
    """Score each attack in the peer's process; on copies, as some write to their folder."""
    found = []
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as place:
            copy = Path(shutil.copytree(task.folder, Path(place) / "task"))
            seed = dict(task.seed) | {task.entry: armed(task, attack)}
            found.append(
                in_its_own_process(replace(task, folder=copy, seed=seed), limit_s)
            )
    return found


def scored_here(task: Task, sandbox: str) -> list[Verdict]:
    """Return the verdicts on the seed, on each attack, and on the seed again."""

    async def score(programs: Sequence[bytes]) -> list[Verdict]:
        async with open_evaluator(
            task, sandbox, 1, Path(os.devnull), lambda line: None
        ) as evaluator:
            return [
                await evaluator.evaluate(
                    dict(task.seed) | {task.entry: program},
                    task.spec.cases_of("search"),
                )
                for program in programs
            ]

    seed, attacks = task.seed[task.entry], [armed(task, attack) for attack in ATTACKS]
    return asyncio.run(score([seed, *attacks, seed]))


def _cell(there: Scored, here: Verdict) -> str:
    theirs = f"{there.scores[0]:.6g}" if there.scores else there.note
    ours = f"{here.score:.6g}" if here.failed is None else "refused"
    return f"{theirs} / {ours}"


if __name__ == "__main__":
    sys.exit(main())
