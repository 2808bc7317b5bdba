"""Measure the cost of one candidate in archive and search at 1,000 and at 100,000 variants.

    python -m benchmarks.archive_scale --variants 100000

The first 1,000 variants, and 200 more at each size, are written as a run writes them: programs of
2 KB, one transaction per step, 384-d vectors. The rows between are inserted in bulk, without code.
Prints a table; trust the ratios rather than the times.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sqlalchemy import insert

from benchmarks import markdown
from evolve.archive import (
    TOKENS,
    AddStatus,
    Archive,
    CodeStore,
    Commit,
    Evaluation,
    Proposal,
    Snapshot,
    State,
    StoredVector,
    Vector,
    derive_id,
    embed,
    measure_code,
    pack_vector,
    schema,
    unit,
)
from evolve.config import Settings
from evolve.runs.folder import RunFolder, create_run
from evolve.search import Expand, OperatorMix, Policy, make_frame, make_policy
from evolve.tasks import load_task

TASK = Path(__file__).parents[1] / "tasks" / "cap_set"
NUMBERS, WIDTH, MEASURED, AT_ONCE = 60, 384, 200, 5000
MIX = OperatorMix(
    {"syntactic": 0.7, "recombine": 0.3}, {"syntactic": 1, "recombine": 2}
)
RESUME = """
import asyncio, resource, sys
from pathlib import Path
from evolve.archive import Archive, CodeStore
from evolve.engine.recorder import Recorder
from evolve.runs.folder import open_run
from evolve.search import make_frame

async def main():
    run = open_run(Path(sys.argv[1]), sys.argv[2])
    recorder = Recorder(Archive.open_to_write(run.database), CodeStore.open_to_write(run.code), True,
                        make_frame(run.task(), run.settings))
    assert len(recorder.snapshot.space) == len(recorder.snapshot)
    await recorder.close()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(recorder.snapshot))

asyncio.run(main())
"""


class _Row(NamedTuple):
    """A scored variant that is inserted in bulk."""

    number: int
    id: str
    parent: str
    score: float
    event: int
    vector: bytes

    def proposal(self) -> dict[str, object]:
        """Return its row of the table `proposals`."""
        tree = hashlib.sha1(self.id.encode()).hexdigest()
        return {
            "id": self.id,
            "number": self.number,
            "state": State.SCORED.value,
            "operator": "syntactic",
            "as_of_event": self.event,
            "created_at": 1.0,
            "tree": tree,
            "commit": tree,
            "note": "numbers",
            "message": "",
            "log": "",
            "kept": AddStatus.KEPT.value,
            "novelty": 0.5,
            "improvement": 0.0,
            "quarantined": False,
            "finished_at": 1.0,
            "finished_event": self.event + 4,
            "island": 0,
            "decision": '{"inspirations": [], "failures": [], "lessons": [], "tried": []}',
            "measures": '{"code_length": 540.0, "complexity": 1.0, "runtime": 0.01, '
            '"novelty": 0.5}',
        }


@dataclass
class Clock:
    """Processor time by step, in seconds."""

    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.steps[step] = self.steps.get(step, 0.0) + time.process_time() - started


class Filler:
    """Adds variants the way a run does, without models and sandboxes."""

    def __init__(self, run: RunFolder) -> None:
        self.archive, self.code = (
            Archive.open_to_write(run.database),
            CodeStore(run.code),
        )
        self.snapshot = Snapshot(True, make_frame(run.task(), run.settings))
        self.policy: Policy = make_policy(run.settings.policy, MIX)
        self.commits: dict[str, str] = {}
        self.numbers: dict[str, np.ndarray] = {}
        self.clock = Clock()

    def add(self, number: int, whole: bool = True) -> None:
        """Add one candidate; unless `whole`, with a random vector and without novelty."""
        timed, rng = self.clock.timed, np.random.default_rng([1, number])
        with timed("decide"):
            decision = self.policy.decide(self.snapshot, rng) if number else None
        assert decision is None or isinstance(decision, Expand)
        planned = Proposal(
            derive_id(1, number),
            number,
            State.PLANNED,
            "syntactic",
            decision.parents if decision else (),
            self.snapshot.last_event,
            1.0,
        )
        files, score = self._child(planned, rng)
        with timed("write"):
            self.snapshot.expect(planned.parents)
            self._write(self.archive.plan, planned)
        with timed("git"):
            stored = self._commit(planned, files)
        with timed("embed"):
            known = embed(files) if whole else rng.standard_normal(256) / 16
            vector = unit(
                np.concatenate([known, 0.3 * rng.standard_normal(WIDTH - 256)])
            )
        with timed("novelty"):
            novelty = self.snapshot.space.novelty(vector) if whole else 0.5
        self._score(planned, stored, files, score, novelty, vector)

    def _child(
        self, planned: Proposal, rng: np.random.Generator
    ) -> tuple[dict[str, bytes], float]:
        if planned.parents:
            values = self.numbers.get(
                planned.parents[0], self.numbers[derive_id(1, 0)]
            ).copy()
            values[rng.integers(NUMBERS, size=2)] += rng.standard_normal(2)
        else:
            values = rng.standard_normal(NUMBERS)
        self.numbers[planned.id] = values
        lines = [
            f"    total += {value:.6f} * weight({k}, items)"
            for k, value in enumerate(values)
        ]
        text = (
            "def score(items):\n    total = 0.0\n"
            + "\n".join(lines)
            + "\n    return total\n"
        )
        return {"capset.py": text.encode()}, float(-np.abs(values).sum().round(3))

    def _commit(self, planned: Proposal, files: dict[str, bytes]) -> Commit:
        seed = self.commits.get(derive_id(1, 0))  # replaces parents without a commit
        parents = [self.commits.get(parent, seed or "") for parent in planned.parents]
        stored = self.code.commit(
            files, parents, f"{planned.operator} {planned.id}\n\nnumbers"
        )
        self.commits[planned.id] = stored.commit
        return stored

    def _score(
        self,
        planned: Proposal,
        stored: Commit,
        files: dict[str, bytes],
        score: float,
        novelty: float,
        vector: Vector,
    ) -> None:
        measures = measure_code(files) | {"runtime": 0.01, "novelty": novelty}
        rows = [Evaluation("n6", "search", 0, score, evaluator="0123456789abcdef")]
        with self.clock.timed("write"):
            self._write(
                self.archive.propose, planned.id, stored.tree, stored.commit, "numbers"
            )
            self._write(self.archive.evaluating, planned.id)
            self.snapshot.last_event = self._write(
                self.archive.score,
                planned.id,
                rows,
                AddStatus.KEPT,
                novelty,
                0.0,
                False,
                measures,
                StoredVector(TOKENS, pack_vector(vector)),
            )
        with self.clock.timed("snapshot"):
            self.snapshot.add(
                replace(
                    planned,
                    state=State.SCORED,
                    tree=stored.tree,
                    commit=stored.commit,
                    measures=measures,
                ),
                None,
                rows,
                vector,
            )

    def _write(self, work: Callable[..., int], *args: object) -> int:
        """Write in a separate transaction, as the writer of a run does."""
        with self.archive.together():
            return work(*args)

    def fill(self, count: int) -> None:
        """Add the first variants, without measuring."""
        for number in range(count):
            self.add(number, whole=False)

    def fill_rows(self, first: int, last: int) -> None:
        """Insert finished rows without code; parents are among the 2,000 rows before."""
        rng, event = np.random.default_rng(2), self.archive.last_event()
        names = {number: derive_id(1, number) for number in range(last)}
        for start in range(first, last, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, last))
            vectors = rng.standard_normal((len(numbers), WIDTH)) / WIDTH**0.5
            rows = [
                _Row(
                    number,
                    names[number],
                    names[int(rng.integers(max(number - 2000, 0), number))],
                    float(rng.normal(number**0.5)),
                    event + 4 * place,
                    pack_vector(vector),
                )
                for place, (number, vector) in enumerate(
                    zip(numbers, vectors, strict=True)
                )
            ]
            event += 4 * len(rows)
            insert_rows(self.archive, rows)
        self.snapshot = Snapshot.load(self.archive, True, self.snapshot.frame)

    def measure(self, first: int) -> dict[str, float]:
        """Return the mean milliseconds by step of the next candidates."""
        # write earlier data to disk first, so that it does not slow these down
        os.sync()
        self.clock = Clock()
        started = time.perf_counter()
        for number in range(first, first + MEASURED):
            self.add(number)
        wall = time.perf_counter() - started
        found = {
            step: 1e3 * spent / MEASURED for step, spent in self.clock.steps.items()
        }
        found["sample + add"] = (
            found["decide"] + found["write"] + found["snapshot"] + found["git"]
        )
        found["all, with novelty"] = (
            found["sample + add"] + found["embed"] + found["novelty"]
        )
        return found | {"wall": 1e3 * wall / MEASURED}

    def tidy(self) -> None:
        """Pack the repository, as a run does from time to time and at its end."""
        self.code.tidy(self.commits)


def allocated_bytes(folder: Path) -> int:
    """Return the size of the allocated blocks on disk, in bytes."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


class Timed(NamedTuple):
    """The measurement of a process: wall time, processor time, and its output."""

    wall_s: float
    cpu_s: float
    out: str


def command(*words: str) -> Timed:
    """Run a command to its end and measure it."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(time.perf_counter() - started, cpu_s, done.stdout)


def say(text: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def empty(run: RunFolder) -> None:
    """Create an empty archive and an empty repository."""
    Archive.create(run.database, {"seed": "1"}).close()
    CodeStore.create(run.code)


def main() -> None:
    """Fill the archive, measure at both sizes, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--policy", default="map_elites")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(policy=given.policy, max_variants=given.variants)
        run = create_run(Path(folder), "scale", load_task(TASK), settings, empty)
        filler = Filler(run)
        filler.fill(1000)
        # before each measurement: a packed repository has no folders for new objects
        filler.tidy()
        few = filler.measure(1000)
        filler.tidy()
        packed = allocated_bytes(run.code) / (1000 + MEASURED)
        filler.fill_rows(1000 + MEASURED, given.variants)
        filler.tidy()
        many = filler.measure(given.variants)
        filler.tidy()
        filler.archive.close()
        say(
            markdown.table(
                [
                    "processor ms for a candidate",
                    "1,000",
                    f"{given.variants:,}",
                    "ratio",
                ],
                (
                    [
                        step,
                        f"{spent:.2f}",
                        f"{many[step]:.2f}",
                        f"{many[step] / spent:.2f}",
                    ]
                    for step, spent in few.items()
                ),
            )
        )
        say(f"- git, packed: {packed:.0f} bytes a variant")
        report_opening(run)


def insert_rows(archive: Archive, rows: list[_Row]) -> None:
    """Insert scored variants in the form in which the archive stores them."""
    with archive._writing() as connection:
        connection.execute(
            insert(schema.events),
            [
                {
                    "id": row.event + step,
                    "at": 1.0,
                    "kind": kind,
                    "proposal": row.id,
                    "data": "{}",
                }
                for row in rows
                for step, kind in enumerate(
                    ("planned", "proposed", "evaluating", "scored"), start=1
                )
            ],
        )
        connection.execute(insert(schema.proposals), [row.proposal() for row in rows])
        connection.execute(
            insert(schema.parents),
            [{"child": row.id, "position": 0, "parent": row.parent} for row in rows],
        )
        connection.execute(
            insert(schema.evaluations),
            [
                {
                    "proposal": row.id,
                    "case_id": "n6",
                    "split": "search",
                    "attempt": 0,
                    "score": row.score,
                    "metrics": "{}",
                    "feedback": "",
                    "log": "",
                    "message": "",
                    "seconds": 0.01,
                    "cpu_s": 0.01,
                    "peak_memory_bytes": 1 << 24,
                    "cost_usd": 0.0,
                    "evaluator": "0123456789abcdef",
                    "created_at": 1.0,
                }
                for row in rows
            ],
        )
        connection.execute(
            insert(schema.vectors),
            [
                {"proposal": row.id, "source": TOKENS, "data": row.vector}
                for row in rows
            ],
        )


def report_opening(run: RunFolder) -> None:
    """Print the cost of `tree --top 20`, and of loading a run to resume it."""
    folder = str(run.path.parent)
    evolve = str(Path(sys.executable).parent / "evolve")
    tree = command(evolve, "tree", "scale", "--top", "20", "--runs-dir", folder)
    say(
        f"- evolve tree --top 20: {tree.wall_s:.2f} s, {tree.cpu_s:.2f} s of the processor"
    )
    resume = command(sys.executable, "-c", RESUME, folder, "scale")
    memory, loaded = resume.out.split()
    say(
        f"- what a resume loads: {resume.wall_s:.2f} s, {resume.cpu_s:.2f} s of the processor, "
        f"{float(memory):.0f} MiB, {loaded} variants"
    )
    say(f"- database: {run.database.stat().st_size / int(loaded):.0f} bytes a variant")


if __name__ == "__main__":
    main()
