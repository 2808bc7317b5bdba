"""Compare scores on other engines' task directories: their evaluator alone, and evolve.

    python -m benchmarks.peers_tasks DIR... [--sandbox bubblewrap] [--limit 700] [--variants 20]

A DIR is a task, or a folder with tasks below it. The peer's score comes from its evaluator in one
process with the program, as its engine runs it: no sandbox, no stub. Scores that differ are measured
five times on both sides, for programs that draw and evaluators that measure time: then the two ranges
must overlap. With --variants N, N variants are tried without a model if an evaluation takes less than
--quick seconds. Prints a row as soon as it is known; exits with 1 if two scores differ.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import markdown
from evolve.errors import TaskError
from evolve.evaluation.evaluator import Verdict
from evolve.peers import standins
from evolve.peers.shared import EVALUATOR_SHARED
from evolve.runs.evaluator import open_evaluator
from evolve.sandbox.rootfs import packages_folder
from evolve.tasks import Task, load_task
from evolve.tasks.peers import read_peer

COLUMNS = ("directory", "peer's score", "s", "our score", "s", "", "best variant", "s")
TIMES = 5  # measurements of scores that differ
_OPENEVOLVE = """
import importlib.util, json, math, sys
evaluator, program, place, thresholds = *sys.argv[1:4], json.loads(sys.argv[4])
sys.argv[1:] = []  # the place is ours, not the engine's: no program should find it
spec = importlib.util.spec_from_file_location("evaluation_module", evaluator)
module = importlib.util.module_from_spec(spec)
sys.modules["evaluation_module"] = module
spec.loader.exec_module(module)

def score(found):
    numbers = [v for k, v in found.items() if isinstance(v, (int, float)) and v == v]
    return found.get("combined_score", sum(numbers) / max(1, len(numbers)))

stages = [getattr(module, f"evaluate_stage{n}", None) for n in (1, 2, 3)]
found = {}
if thresholds is None or stages[0] is None:
    stages, thresholds = [module.evaluate], [math.inf]
for stage, threshold in zip(stages, [*thresholds, *[math.inf] * 3]):
    if stage is None:
        break
    result = stage(program)
    found.update(getattr(result, "metrics", result))
    if not score(found) >= threshold:
        break
json.dump({"combined_score": float(score(found))}, open(place + "/metrics.json", "w"))
"""


class Scored(NamedTuple):
    """Scores of one program, the time of the first, and the reason if there is none."""

    scores: tuple[float, ...]
    seconds: float
    note: str = ""

    @property
    def shown(self) -> str:
        if self.note:
            return self.note
        low, high = min(self.scores), max(self.scores)
        return (
            f"{low}"
            if low == high
            else f"{low:.6g} to {high:.6g} ({len(self.scores)} times)"
        )

    def agrees(self, other: Scored) -> bool:
        """Return whether the ranges of both scores overlap."""
        if not self.scores or not other.scores:
            return False
        return min(self.scores) <= max(other.scores) and min(other.scores) <= max(
            self.scores
        )


def main() -> int:
    """Print a row per directory; return 1 if evolve's score differs from the peer's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--sandbox", default="bubblewrap")
    parser.add_argument(
        "--limit", type=float, default=700.0, help="seconds for a peer's evaluation"
    )
    parser.add_argument(
        "--variants", type=int, default=0, help="to try without a model"
    )
    parser.add_argument(
        "--quick", type=float, default=10.0, help="seconds an evaluation for that"
    )
    given = parser.parse_args()
    folders = [
        found for folder in given.folders for found in tasks_below(folder.resolve())
    ]
    above = Path(os.path.commonpath([folder.parent for folder in folders] or [Path()]))
    rows, same = [], True
    for folder in folders:
        cells, agree = _row(folder, given)
        rows.append([str(folder.relative_to(above)), *cells])
        same = same and agree
        sys.stderr.write(" | ".join(rows[-1]) + "\n")
    sys.stdout.write(markdown.table(COLUMNS if given.variants else COLUMNS[:-2], rows))
    return 0 if same else 1


def tasks_below(folder: Path) -> Iterator[Path]:
    """Yield the folder if it holds a task, else the tasks below it, sorted."""
    if (folder / "task.toml").exists() or _is_peers(folder):
        yield folder
        return
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield from tasks_below(inner)


def _is_peers(folder: Path) -> bool:
    try:
        return read_peer(folder) is not None
    except TaskError:
        return True  # its row shows the error


def _row(folder: Path, given: argparse.Namespace) -> tuple[list[str], bool]:
    try:
        task = load_task(folder)
    except TaskError as error:
        return [str(error), "", "", "", "", *[""] * (2 if given.variants else 0)], False
    theirs, ours, shared = compared(task, given.sandbox, given.limit)
    cells = [
        theirs.shown,
        f"{theirs.seconds:.1f}",
        ours.shown,
        f"{ours.seconds:.1f}",
        "shared" if shared else "isolated",
    ]
    if given.variants:
        quick = bool(ours.scores) and ours.seconds < given.quick
        cells += best_of(folder, given) if quick else ["not run", ""]
    return cells, theirs.agrees(ours)


def compared(task: Task, sandbox: str, limit_s: float) -> tuple[Scored, Scored, bool]:
    """Return the peer's score, evolve's, and whether evaluator and candidate shared a sandbox."""
    theirs, (ours, shared) = in_its_own_process(task, limit_s), isolated(task, sandbox)
    if theirs.scores != ours.scores and theirs.scores and ours.scores:
        theirs = _more(theirs, lambda: in_its_own_process(task, limit_s))
        ours = _more(ours, lambda: isolated(task, sandbox)[0])
    return theirs, ours, shared


def _more(first: Scored, again: Callable[[], Scored]) -> Scored:
    others = [again() for _ in range(TIMES - 1)]
    return first._replace(
        scores=first.scores + tuple(s for other in others for s in other.scores)
    )


def best_of(folder: Path, given: argparse.Namespace) -> list[str]:
    """Return the best of `given.variants` variants without a model, and the time of the run."""
    with tempfile.TemporaryDirectory() as runs:
        started = time.monotonic()
        done = _evolve(
            "run",
            str(folder),
            "--name",
            "r",
            "--runs-dir",
            runs,
            "--sandbox",
            given.sandbox,
            "--max-variants",
            str(given.variants),
        )
        seconds = time.monotonic() - started
        if done.returncode != 0:
            return [
                (done.stderr.strip().splitlines() or ["failed"])[-1][:80],
                f"{seconds:.0f}",
            ]
        rows = json.loads(_evolve("tree", "r", "--json", "--runs-dir", runs).stdout)
    scores = [row["score"] for row in rows if row["score"] is not None]
    return [f"{max(scores):.6f} ({len(rows)} variants)", f"{seconds:.0f}"]


def _evolve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "evolve"), *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def in_its_own_process(task: Task, limit_s: float) -> Scored:
    """Run the peer's evaluator with the seed in its process."""
    assert task.peer is not None
    packages = task.spec.environment.packages
    paths = [str(task.evaluator.parent), str(Path(standins.__path__[0]))]
    if packages:
        paths.insert(0, str(packages_folder(packages, lambda message: None)))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        try:
            subprocess.run(
                [sys.executable, *_arguments(task, Path(place))],
                cwd=task.folder,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": ":".join(paths),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                capture_output=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Scored((), time.monotonic() - started, f"none in {limit_s:g} s")
        seconds, result = time.monotonic() - started, Path(place) / "metrics.json"
        found = json.loads(result.read_text()) if result.exists() else {}
    key = task.peer.fitness_key or "combined_score"
    return (
        Scored((found[key],), seconds) if key in found else Scored((), seconds, "none")
    )


def _arguments(task: Task, place: Path) -> list[str]:
    """Return the arguments with which the peer's engine starts it, on a copy of the seed."""
    peer = task.peer
    assert peer is not None
    program = place / f"candidate_program{Path(peer.program).suffix}"
    for name, data in task.seed.items():
        (program if name == peer.program else place / name).write_bytes(data)
    script = str(task.evaluator)
    if peer.format == "shinka":
        return [script, "--program_path", str(program), "--results_dir", str(place)]
    if peer.format == "codeevolve":
        return [script, str(program), f"{place}/metrics.json"]
    return [
        "-c",
        _OPENEVOLVE,
        script,
        str(program),
        str(place),
        json.dumps(peer.thresholds),
    ]


def isolated(task: Task, sandbox: str) -> tuple[Scored, bool]:
    """Return evolve's score of the seed, and whether evaluator and candidate shared a sandbox."""

    async def score() -> Verdict:
        async with open_evaluator(
            task, sandbox, 1, Path(os.devnull), lambda line: None
        ) as evaluator:
            return await evaluator.evaluate(task.seed, task.spec.cases_of("search"))

    verdict = asyncio.run(score())
    seconds = sum(row.seconds for row in verdict.rows)
    if verdict.failed is not None:
        return Scored(
            (), seconds, f"{verdict.failed.reason}: {verdict.failed.message[:60]}"
        ), False
    shared = any(EVALUATOR_SHARED in row.metrics for row in verdict.rows)
    return Scored((verdict.score,), seconds), shared


if __name__ == "__main__":
    sys.exit(main())
