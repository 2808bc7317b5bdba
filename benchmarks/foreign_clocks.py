"""Speeds that evaluators of other engines measure: in their own process, and in sandboxes.

    python -m benchmarks.foreign_clocks [--times N] [TASK ...]

Each task compares the time of a program with that of a function of the evaluator. The seed's speed is 1;
two variants do half and twice the work. The table shows medians.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from evolve.sandbox import ONE_THREAD
from tests.judging import Judge

TASKS = Path(__file__).parents[1] / "tests" / "clock_tasks"
SANDBOXES = ("docker", "bubblewrap")
ROUNDS = (2, 1, 4)
_OWN = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
spec = importlib.util.spec_from_file_location("evaluator", sys.argv[1] + "/evaluator.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.evaluate(sys.argv[2])["combined_score"])
"""


def own_speed(folder: Path, program: str) -> float:
    """The score as its engine takes it: one process for evaluator and program."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "program.py"
        path.write_text(program)
        done = subprocess.run(
            [sys.executable, "-c", _OWN, str(folder), str(path)],
            env=dict(os.environ) | ONE_THREAD | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(done.stdout.split()[-1])


def speed_in(judge: Judge, folder: Path, program: str) -> float:
    """The score of a program in a sandbox."""
    row = judge(folder, program)
    if row.score is None or any("shared" in key for key in row.metrics):
        raise SystemExit(f"{folder.name}: {row}")
    return row.score


def show(*cells: str) -> None:
    """Write a line of the table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    names = given.tasks or sorted(path.name for path in TASKS.iterdir())
    show("task", "work", "own process", "docker", "bubblewrap", "n")
    show(*["---"] * 6)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Judge("docker", Path(scratch) / "docker") as docker,
        Judge("bubblewrap", Path(scratch) / "bubblewrap") as bubblewrap,
    ):
        for name in names:
            folder = TASKS / name
            text = (folder / "initial_program.py").read_text()
            for rounds in ROUNDS:
                program = text.replace("ROUNDS = 2", f"ROUNDS = {rounds}")
                found: list[list[float]] = [[], [], []]
                for _ in range(given.times):
                    found[0].append(own_speed(folder, program))
                    found[1].append(speed_in(docker, folder, program))
                    found[2].append(speed_in(bubblewrap, folder, program))
                cells = [f"{median(scores):.3f}" for scores in found]
                show(name, f"x {rounds / 2:g}", *cells, str(given.times))


if __name__ == "__main__":
    main()
