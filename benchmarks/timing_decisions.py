"""How often timing keeps a variant that changes nothing, and how often it finds a gain.

    python -m benchmarks.timing_decisions                        # under three hours
    python -m benchmarks.timing_decisions --no-ops 50 --planted 5

Each trial is one evaluation of a task with [timing], with the defaults of `run`. No-op
variants have other names of locals, comments and blank lines; planted ones do 2 or 10 % less
work. Trials are appended to a file as they end: stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks import markdown
from evolve.evaluation.evaluator import Evaluator
from evolve.runs.evaluator import open_evaluator
from evolve.tasks import load_task

LOOPS_OF_20_MS = 280_000  # of the seed on a machine of 2025
TOML = """name = "timing"
description = "burn time"
[timing]
function = "work"
"""
SCORER = """def draw(rng, case):
    return [int(rng.integers(1 << 40))]
"""
PROGRAM = """def work(start):
    total = 0
    for step in range({loops}):
        total += (start + step * step) % 7
    return start % 1000
"""
NAMES = (
    "total",
    "step",
    "result",
    "value",
    "k",
    "index",
    "accumulated",
    "position",
    "s",
)


@dataclass(frozen=True)
class Trial:
    """One evaluation; `gain` is the share of work that the variant saves."""

    gain: float
    number: int
    ratio: float
    low: float
    high: float
    blocks: int
    seconds: float
    sure: bool


def main() -> int:
    """Run the trials that are missing, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--no-ops", type=int, default=1000)
    parser.add_argument("--planted", type=int, default=50, help="of each gain")
    parser.add_argument("--loops", type=int, default=LOOPS_OF_20_MS)
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--file", type=Path, default=Path("timing_decisions.jsonl"))
    options = parser.parse_args()
    wanted = [(0.0, k) for k in range(options.no_ops)]
    wanted += [(gain, k) for k in range(options.planted) for gain in (0.02, 0.1)]
    asyncio.run(run_missing(wanted, options.loops, options.sandbox, options.file))
    sys.stdout.write(table(read(options.file)))
    return 0


async def run_missing(
    wanted: list[tuple[float, int]], loops: int, sandbox: str, file: Path
) -> None:
    """Run the trials that the file does not have, and append them."""
    done = {(trial.gain, trial.number) for trial in read(file)}
    with tempfile.TemporaryDirectory() as folder:
        task = load_task(write_task(Path(folder) / "timing", loops))
        log = Path(folder) / "scorer.log"
        async with open_evaluator(task, sandbox, 1, log, say) as evaluator:
            for gain, number in wanted:
                if (gain, number) not in done:
                    trial = await run_trial(evaluator, loops, gain, number)
                    with file.open("a") as lines:
                        lines.write(json.dumps(asdict(trial)) + "\n")


def say(line: str) -> None:
    """Write a message for people."""
    sys.stderr.write(f"{line}\n")


def write_task(folder: Path, loops: int) -> Path:
    """Write the task."""
    (folder / "initial").mkdir(parents=True)
    (folder / "task.toml").write_text(TOML)
    (folder / "evaluate.py").write_text(SCORER)
    (folder / "initial" / "main.py").write_text(PROGRAM.format(loops=loops))
    return folder


async def run_trial(
    evaluator: Evaluator, loops: int, gain: float, number: int
) -> Trial:
    """Evaluate one variant."""
    program = variant(round(loops * (1 - gain)), number)
    case = evaluator.task.spec.cases_of("search")[0]
    row = (await evaluator.evaluate({"main.py": program.encode()}, [case])).rows[0]
    assert row.reason is None, row.message
    found = row.metrics
    return Trial(
        gain,
        number,
        found["ratio"],
        found["ratio_low"],
        found["ratio_high"],
        found["pairs"],
        row.seconds,
        found["sure"],
    )


def variant(loops: int, number: int) -> str:
    """Return the program with other names, comments and blank lines."""
    draw = random.Random(number)
    total, step = draw.sample(NAMES, 2)
    text = PROGRAM.format(loops=loops)
    text = text.replace("total", "@1").replace("step", "@2")
    lines = text.replace("@1", total).replace("@2", step).splitlines()
    for _ in range(draw.randrange(1, 6)):
        lines.insert(draw.randrange(len(lines)), "# " + "x" * draw.randrange(60))
    return "\n".join(lines) + "\n"


def read(file: Path) -> list[Trial]:
    """Return the trials of the file."""
    if not file.exists():
        return []
    return [Trial(**json.loads(line)) for line in file.read_text().splitlines()]


def table(trials: list[Trial]) -> str:
    """Return how many variants were kept, for each gain."""
    head = ("gain", "trials", "kept", "share", "median s", "longest s", "median ratio")
    return markdown.table(head, list(_rows(trials)))


def _rows(trials: list[Trial]) -> Iterator[tuple[str, ...]]:
    for gain in sorted({trial.gain for trial in trials}):
        these = [trial for trial in trials if trial.gain == gain]
        kept = sum(trial.sure for trial in these)
        yield (
            f"{gain:.0%}" if gain else "none (no-op)",
            str(len(these)),
            str(kept),
            f"{kept / len(these):.1%}",
            f"{median(trial.seconds for trial in these):.1f}",
            f"{max(trial.seconds for trial in these):.1f}",
            f"{median(trial.ratio for trial in these):.4f}",
        )


if __name__ == "__main__":
    raise SystemExit(main())
