"""What one candidate costs the archive and the search at 1,000 and at 100,000 variants, in one run.

    python -m benchmarks.archive_scale --variants 100000

Fills a run folder with programs of 2 KB in a tree that the default policy grows, 384-d vectors beside
them, through the code that a run uses. Prints a table; the ratios are what to trust.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from archive import (
    TOKENS,
    Archive,
    CodeStore,
    Commit,
    Evaluation,
    Kept,
    Proposal,
    Snapshot,
    State,
    StoredVector,
    Vector,
    derive_id,
    embed,
    measure_code,
    pack_vector,
    unit,
)
from evolve.config import Settings
from evolve.run import RunFolder, create_run
from evolve.search import Expand, OperatorMix, Policy, make_frame, make_policy
from evolve.tasks import load_task

TASK = Path(__file__).parents[1] / "tasks" / "cap_set"
NUMBERS, WIDTH, MEASURED, AT_ONCE, TIDY_EVERY = 60, 384, 200, 1000, 10_000
MIX = OperatorMix({"syntactic": 0.7, "recombine": 0.3}, {"syntactic": 1, "recombine": 2})
RESUME = """
import asyncio, resource, sys, time
started = time.perf_counter()
from pathlib import Path
from archive import Archive, CodeStore
from evolve.recorder import Recorder
from evolve.run import open_run
from evolve.search import make_frame

async def main():
    run = open_run(Path(sys.argv[1]), sys.argv[2])
    recorder = Recorder(Archive.open_to_write(run.database), CodeStore.open_to_write(run.code), True,
                        make_frame(run.task(), run.settings))
    seconds = time.perf_counter() - started
    assert len(recorder.snapshot.space) == len(recorder.snapshot)
    recorder.close()
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(recorder.snapshot))

asyncio.run(main())
"""


@dataclass
class Clock:
    """Processor time by step, and wall time in all."""

    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.steps[step] = self.steps.get(step, 0.0) + time.process_time() - started


class Filler:
    """Adds variants the way a run does, without models and sandboxes."""

    def __init__(self, run: RunFolder) -> None:
        self.archive, self.code = Archive.open_to_write(run.database), CodeStore(run.code)
        self.snapshot = Snapshot(True, make_frame(run.task(), run.settings))
        self.policy: Policy = make_policy(run.settings.policy, MIX)
        self.commits: dict[str, str] = {}
        self.numbers: dict[str, np.ndarray] = {}
        self.clock = Clock()

    def add(self, number: int, whole: bool = True) -> None:
        """One candidate from its decision to its score; not whole: any vector, and no scan."""
        timed, rng = self.clock.timed, np.random.default_rng([1, number])
        with timed("decide"):
            decision = self.policy.decide(self.snapshot, rng) if number else None
        assert decision is None or isinstance(decision, Expand)
        planned = Proposal(derive_id(1, number), number, State.PLANNED, "syntactic",
                           decision.parents if decision else (), self.snapshot.last_event, 1.0)
        files, score = self._child(planned, rng)
        with timed("write"):
            self.snapshot.expect(planned.parents)
            self.archive.plan(planned)
        with timed("git"):
            stored = self._commit(planned, files)
        with timed("embed"):
            known = embed(files) if whole else rng.standard_normal(256) / 16
            vector = unit(np.concatenate([known, 0.3 * rng.standard_normal(WIDTH - 256)]))
        with timed("novelty"):
            novelty = self.snapshot.space.novelty(vector) if whole else 0.5
        self._score(planned, stored, files, score, novelty, vector)

    def _child(self, planned: Proposal, rng: np.random.Generator) -> tuple[dict[str, bytes], float]:
        if planned.parents:
            values = self.numbers[planned.parents[0]].copy()
            values[rng.integers(NUMBERS, size=2)] += rng.standard_normal(2)
        else:
            values = rng.standard_normal(NUMBERS)
        self.numbers[planned.id] = values
        lines = [f"    total += {value:.6f} * weight({k}, items)" for k, value in enumerate(values)]
        text = "def score(items):\n    total = 0.0\n" + "\n".join(lines) + "\n    return total\n"
        return {"capset.py": text.encode()}, float(-np.abs(values).sum().round(3))

    def _commit(self, planned: Proposal, files: dict[str, bytes]) -> Commit:
        parents = [self.commits[parent] for parent in planned.parents]
        stored = self.code.commit(files, parents, f"{planned.operator} {planned.id}\n\nnumbers")
        self.commits[planned.id] = stored.commit
        return stored

    def _score(self, planned: Proposal, stored: Commit, files: dict[str, bytes], score: float,
               novelty: float, vector: Vector) -> None:
        measures = measure_code(files) | {"runtime": 0.01, "novelty": novelty}
        rows = [Evaluation("n6", "search", 0, score, evaluator="0123456789abcdef")]
        with self.clock.timed("write"):
            self.archive.propose(planned.id, stored.tree, stored.commit, "numbers")
            self.archive.evaluating(planned.id)
            self.snapshot.last_event = self.archive.score(
                planned.id, rows, Kept.KEPT, novelty, 0.0, False, measures,
                StoredVector(TOKENS, pack_vector(vector)))
        with self.clock.timed("snapshot"):
            self.snapshot.add(Proposal(**planned.__dict__ | {
                "state": State.SCORED, "tree": stored.tree, "commit": stored.commit,
                "measures": measures}), None, rows, vector)

    def fill(self, first: int, last: int) -> None:
        """Many in a transaction: nothing of this is measured."""
        for start in range(first, last, AT_ONCE):
            with self.archive.together():
                for number in range(start, min(start + AT_ONCE, last)):
                    self.add(number, whole=False)

    def measure(self, first: int) -> dict[str, float]:
        """Milliseconds for each of the next candidates, a transaction for each of their steps."""
        self.clock = Clock()
        started = time.perf_counter()
        for number in range(first, first + MEASURED):
            self.add(number)
        wall = time.perf_counter() - started
        found = {step: 1e3 * spent / MEASURED for step, spent in self.clock.steps.items()}
        found["sample + add"] = found["decide"] + found["write"] + found["snapshot"] + found["git"]
        found["all, with novelty"] = found["sample + add"] + found["embed"] + found["novelty"]
        return found | {"wall": 1e3 * wall / MEASURED}

    def tidy(self) -> None:
        """What a run does from time to time and at its end."""
        self.code.tidy(self.commits)


def allocated_bytes(run: RunFolder) -> int:
    """Blocks of database and code on the disk."""
    return sum(path.stat().st_blocks * 512 for place in (run.code, run.database.parent)
               for path in (place.rglob("*") if place == run.code else place.glob("archive.db*")))


def command(*words: str) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


def say(text: str) -> None:
    """A line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fill, measure on the way and at the end, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--policy", default="weighted")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(policy=given.policy, max_variants=given.variants)
        run = create_run(Path(folder), "scale", load_task(TASK), settings, lambda new: (
            Archive.create(new.database, {"seed": "1"}).close(), CodeStore.create(new.code)))
        filler = Filler(run)
        filler.fill(0, 1000)
        few = filler.measure(1000)
        for start in range(1000 + MEASURED, given.variants, TIDY_EVERY):
            filler.fill(start, min(start + TIDY_EVERY, given.variants))
            filler.tidy()
        many = filler.measure(given.variants)
        filler.tidy()
        filler.archive.close()
        say(f"{'ms of processor time':<24}{'1,000':>10}{given.variants:>10,}{'ratio':>8}")
        for step, spent in few.items():
            say(f"{step:<24}{spent:>10.2f}{many[step]:>10.2f}{many[step] / spent:>8.2f}")
        say(f"engine's peak memory while filling {peak_mib():.0f} MiB")
        report_opening(run, given.variants + MEASURED)


def peak_mib() -> float:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report_opening(run: RunFolder, count: int) -> None:
    """Disk, `tree --top 20`, and what a resume loads."""
    say(f"database and git, packed: {allocated_bytes(run) / count:.0f} bytes a variant")
    folder = str(run.path.parent)
    seconds, _ = command("evolve", "tree", "scale", "--top", "20", "--runs-dir", folder)
    say(f"evolve tree --top 20: {seconds:.2f} s")
    seconds, memory, loaded = command(sys.executable, "-c", RESUME, folder, "scale")[1].split()
    say(f"resume: {float(seconds):.2f} s, {float(memory):.0f} MiB, {loaded} variants")


if __name__ == "__main__":
    main()
