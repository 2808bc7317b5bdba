"""Measure the cost of a sandboxed candidate: start and a trivial call, with numpy loaded.

    python -m benchmarks.sandbox_latency [--flat 1000] [--json]

Compares with the usual ways, all in one run on one machine: trust the ratios, not the times. Prints
a table with the targets or, with --json, the figures. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median, quantiles

import psutil

from benchmarks import markdown
from evolve.sandbox import Limits, Pool, Provider, SandboxSpec
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.contract import attempt, opened
from evolve.sandbox.docker import DockerProvider
from evolve.sandbox.image import REPOSITORY
from evolve.sandbox.local import LocalProvider
from evolve.sandbox.rootfs import PACKAGES, interpreter, rootfs_key

WORKERS = 2
SPEC = SandboxSpec(Limits(), packages=("numpy",), preload=("numpy",))
FRESH = SandboxSpec(Limits(), packages=("numpy",), preload=("numpy",), fresh=True)
CANDIDATE = "import numpy\ndef answer(x): return x + 1"
Way = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Row:
    """A way to run a candidate: times one after another, and the rate of two workers."""

    way: str
    median_ms: float
    p95_ms: float
    per_second: float


@dataclass(frozen=True)
class Target:
    """A ratio between two ways, and its minimum."""

    name: str
    ratio: float
    at_least: float

    @property
    def met(self) -> bool:
        return self.ratio >= self.at_least


@dataclass(frozen=True)
class Flatness:
    """Growth of one pool over many candidates, from the first to the last."""

    candidates: int
    latency_ratio: float
    engine_rss_bytes: int
    descriptors: int
    processes: int
    boxes_started: int
    server_rss_bytes: int


def main() -> int:
    """Measure and print; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument(
        "--count", type=int, default=40, help="candidates for each slow way"
    )
    parser.add_argument(
        "--flat", type=int, default=1000, help="candidates of the flatness check"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = asyncio.run(measure_all(given.count))
    flat = asyncio.run(measure_flatness(given.flat)) if given.flat else None
    reached = targets({row.way: row for row in rows}, flat)
    if given.json:
        sys.stdout.write(
            json.dumps(
                {
                    "rows": [asdict(row) for row in rows],
                    "flat": asdict(flat) if flat else None,
                    "targets": [
                        asdict(target) | {"met": target.met} for target in reached
                    ],
                }
            )
            + "\n"
        )
    else:
        sys.stdout.write(table(rows, flat, reached))
    return 0 if all(target.met for target in reached) else 1


async def measure_all(count: int) -> list[Row]:
    """Measure all ways, one after another."""
    rows = []
    # builds the image on first use
    async with opened(DockerProvider(SPEC), WORKERS) as pool:
        await asyncio.gather(*(attempt(pool, CANDIDATE, 1) for _ in range(WORKERS)))
        rows.append(await measure("warm Docker", lambda: one(pool), count * 10))
    async with opened(BubblewrapProvider(SPEC), WORKERS) as warm:
        await asyncio.gather(*(attempt(warm, CANDIDATE, 1) for _ in range(WORKERS)))
        rows.append(await measure("warm bubblewrap", lambda: one(warm), count * 10))
    rows.append(await measure("python subprocess", lambda: command(*plain()), count))
    rows.append(await measure("docker run", lambda: command(*docker_run()), count // 2))
    ways: list[tuple[str, Provider]] = [
        ("fresh Docker", DockerProvider(FRESH)),
        ("fresh bubblewrap", BubblewrapProvider(FRESH)),
        ("local", LocalProvider(SPEC)),
    ]
    for name, provider in ways:
        async with opened(provider, WORKERS) as other:
            await one(other)
            rows.append(await measure(name, partial(one, other), count))
    return rows


async def one(pool: Pool) -> None:
    """Run one candidate from start to end; raise `AssertionError` if its answer is wrong."""
    assert (await attempt(pool, CANDIDATE, 41)).value == 42


async def command(*words: str) -> None:
    """Run one process from start to end."""
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.DEVNULL)
    assert await process.wait() == 0


def plain() -> list[str]:
    """Return the command that engines without a sandbox run for each candidate."""
    return [sys.executable, "-c", "import numpy"]


def docker_run() -> list[str]:
    """Return the command that starts a hardened container for each candidate."""
    image = f"{REPOSITORY}:{rootfs_key(SPEC.packages)}"
    return [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--tmpfs",
        "/tmp",
        "--pids-limit",
        "64",
        "--memory",
        "512m",
        "--env",
        f"PYTHONPATH={PACKAGES}",
        "--entrypoint",
        interpreter(),
        image,
        "-c",
        "import numpy",
    ]


async def measure(name: str, way: Way, count: int) -> Row:
    """Measure the latency one by one, then the rate with two workers."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        await way()
        times.append((time.perf_counter() - started) * 1000)
    left = list(range(count))

    async def worker() -> None:
        while left:
            left.pop()
            await way()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(WORKERS)))
    rate = count / (time.perf_counter() - started)
    return Row(name, median(times), quantiles(times, n=20)[-1], rate)


async def measure_flatness(count: int) -> Flatness:
    """Run many candidates in one pool with one box; compare the last ones with the first."""
    me = psutil.Process(os.getpid())
    async with opened(DockerProvider(SPEC)) as pool:
        for _ in range(20):
            await one(pool)
        before, server_before = usage(me), server_rss()
        times = []
        for _ in range(count):
            started = time.perf_counter()
            await one(pool)
            times.append(time.perf_counter() - started)
        after, server_after = usage(me), server_rss()
        part = min(500, count // 2)
        return Flatness(
            count,
            median(times[-part:]) / median(times[:part]),
            after[0] - before[0],
            after[1] - before[1],
            after[2] - before[2],
            pool.counts.started,
            server_after - server_before,
        )


def usage(process: psutil.Process) -> tuple[int, int, int]:
    """Return resident bytes, open descriptors, and number of descendants."""
    return (
        process.memory_info().rss,
        process.num_fds(),
        len(process.children(recursive=True)),
    )


def server_rss() -> int:
    """Return the resident bytes of all visible fork servers."""
    return sum(
        process.info["memory_info"].rss
        for process in psutil.process_iter(["cmdline", "memory_info"])
        if any(
            word.endswith("/evolve/start.py") for word in process.info["cmdline"] or ()
        )
    )


def targets(rows: dict[str, Row], flat: Flatness | None) -> list[Target]:
    """Return the targets: ratios that must be reached."""
    warm, plain_row, run = (
        rows["warm Docker"],
        rows["python subprocess"],
        rows["docker run"],
    )
    boxed = rows["warm bubblewrap"]
    reached = [
        Target(
            "python subprocess / warm Docker, median",
            plain_row.median_ms / warm.median_ms,
            8,
        ),
        Target("warm Docker / docker run, rate", warm.per_second / run.per_second, 20),
        Target(
            "warm Docker / python subprocess, rate",
            warm.per_second / plain_row.per_second,
            8,
        ),
        Target(
            "python subprocess / warm bubblewrap, median",
            plain_row.median_ms / boxed.median_ms,
            8,
        ),
        Target(
            "warm bubblewrap / python subprocess, rate",
            boxed.per_second / plain_row.per_second,
            10,
        ),
    ]
    if flat:
        reached.append(
            Target(
                "first / last candidates of a long run, median",
                1 / flat.latency_ratio,
                1 / 1.2,
            )
        )
    return reached


def table(rows: list[Row], flat: Flatness | None, reached: list[Target]) -> str:
    """Return the figures as tables."""
    shown = markdown.table(
        [
            "start + trivial call, numpy",
            "median ms",
            "p95 ms",
            "2 workers, candidates/s",
        ],
        (
            [
                row.way,
                f"{row.median_ms:.1f}",
                f"{row.p95_ms:.1f}",
                f"{row.per_second:.1f}",
            ]
            for row in sorted(rows, key=lambda row: row.median_ms)
        ),
    )
    ratios = markdown.table(
        ["ratio", "is", "target", "met"],
        (
            [
                target.name,
                f"{target.ratio:.1f}",
                f"{target.at_least:.1f}",
                "yes" if target.met else "no",
            ]
            for target in reached
        ),
    )
    return "\n".join([shown, ratios, *([told(flat)] if flat else [])])


def told(flat: Flatness) -> str:
    """Describe the growth in one sentence."""
    return (
        f"{flat.candidates:,} candidates, one box: {flat.boxes_started} started, latency x "
        f"{flat.latency_ratio:.2f}, engine {flat.engine_rss_bytes:+,} bytes, server "
        f"{flat.server_rss_bytes:+,} bytes, descriptors {flat.descriptors:+}, processes "
        f"{flat.processes:+}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
