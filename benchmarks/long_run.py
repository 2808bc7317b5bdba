"""Measure growth in a long run: memory, descriptors, threads, tasks, processes.

    python -m benchmarks.long_run --variants 20000

One run against the scripted model without latency, in Docker, in this process, which is sampled.
Memory may grow by the size of a variant in the snapshot; nothing else may grow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks import markdown
from benchmarks.engine_throughput import HERE, Setting, model
from benchmarks.throughput.spent import containers_s
from evolve.archive import ArchiveReader, State
from evolve.cli.main import app

CALLS, SHOWN, EVERY_S = 8, 10, 2.0


class Look(NamedTuple):
    """A sample of the process."""

    variants: int
    seconds: float
    memory_mb: float  # resident
    descriptors: int
    threads: int
    tasks: int
    processes: int  # children
    containers_s: float  # spent in containers so far


class Loops(asyncio.DefaultEventLoopPolicy):
    """An event loop policy that keeps the newest loop, so that its tasks can be counted."""

    newest: asyncio.AbstractEventLoop | None = None

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        self.newest = super().new_event_loop()
        return self.newest


class Watch(threading.Thread):
    """A thread that samples the process every `EVERY_S` seconds until `stop`."""

    def __init__(self, database: Path, loops: Loops) -> None:
        super().__init__(daemon=True)
        self.looks: list[Look] = []
        self._database, self._loops = database, loops
        self._began, self._over = time.monotonic(), threading.Event()

    def run(self) -> None:
        while not self._over.wait(EVERY_S):
            if self._database.exists():
                self.looks.append(self._look())

    def stop(self) -> None:
        """Stop sampling."""
        self._over.set()
        self.join()

    def _look(self) -> Look:
        me, loop = psutil.Process(), self._loops.newest
        archive = ArchiveReader.open(self._database)
        counts = archive.counts()
        archive.close()
        tasks = (
            len(asyncio.all_tasks(loop))
            if loop is not None and loop.is_running()
            else 0
        )
        return Look(
            counts.get(State.SCORED, 0) + counts.get(State.FAILED, 0),
            time.monotonic() - self._began,
            me.memory_info().rss / 1e6,
            me.num_fds(),
            me.num_threads(),
            tasks,
            len(me.children(recursive=True)),
            containers_s(),
        )


def table(looks: list[Look]) -> str:
    """Return a table of evenly spaced samples, with the cost per variant between them."""
    step = max(1, len(looks) // SHOWN)
    shown = looks[step::step]
    return markdown.table(
        [
            "variants",
            "a second",
            "ms each in containers",
            "memory MB",
            "KB each",
            "descriptors",
            "threads",
            "tasks",
            "processes",
        ],
        (row(before, look) for before, look in pairwise([looks[0], *shown])),
    )


def row(before: Look, look: Look) -> list[str]:
    """Return one sample, with the cost per variant since the sample before."""
    made = max(look.variants - before.variants, 1)
    return [
        f"{look.variants:,}",
        f"{made / (look.seconds - before.seconds):.1f}",
        f"{1e3 * (look.containers_s - before.containers_s) / made:.1f}",
        f"{look.memory_mb:.0f}",
        f"{1e3 * (look.memory_mb - before.memory_mb) / made:.2f}",
        str(look.descriptors),
        str(look.threads),
        str(look.tasks),
        str(look.processes),
    ]


def main() -> int:
    """Run, sample, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--variants", type=int, default=20_000)
    given = parser.parse_args()
    loops = Loops()
    asyncio.set_event_loop_policy(loops)
    with (
        tempfile.TemporaryDirectory() as folder,
        model(Setting(given.variants, CALLS)) as address,
    ):
        os.environ |= {"EVOLVE_REPAIRS": "0", "EVOLVE_MODEL_CALLS": str(CALLS)}
        watch = Watch(Path(folder) / "long" / "archive.db", loops)
        watch.start()
        with (
            (Path(folder) / "printed").open("w") as printed,
            contextlib.redirect_stderr(printed),
            contextlib.redirect_stdout(printed),
        ):
            app(
                [
                    "run",
                    str(HERE / "native"),
                    "--model",
                    f"hosted_vllm/bench@{address}",
                    "--operator",
                    "rewrite",
                    "--sandbox",
                    "docker",
                    "--workers",
                    "2",
                    "--window",
                    "0",
                    "--name",
                    "long",
                    "--max-variants",
                    str(given.variants),
                    "--runs-dir",
                    folder,
                ],
                standalone_mode=False,
            )
        watch.stop()
    sys.stdout.write(table(watch.looks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
