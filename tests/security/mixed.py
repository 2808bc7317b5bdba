"""Honest candidates among hostile ones: right answers, and what the company costs in each sandbox.

    python -m tests.security.mixed --count 2000

One candidate in four is hostile; the sandboxes take the same candidates, one sandbox after another.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from dataclasses import dataclass

from benchmarks import markdown
from evolve.sandbox import Provider
from evolve.sandbox.contract import attempt, opened
from tests.security.attacks import ATTACKS
from tests.security.probe import Traces
from tests.security.test_attacks import PROVIDERS, SPEC, probe
from tests.security.test_boxes import Lowest

HOSTILE = [
    name
    for name, attack in ATTACKS.items()
    if attack.timeout_s <= 5 and not attack.slow and attack.arguments is tuple
]
LONGEST_S = 1.0  # for a hostile candidate that never answers


@dataclass(frozen=True)
class Mixed:
    """What became of the candidates of one sandbox."""

    answers: dict[int, object]  # of the honest ones, by number
    seconds: float
    started: int  # boxes
    discarded: int
    taken_bytes: int  # of the machine's memory, at most


async def mixed(provider: Provider, count: int, seed: int) -> Mixed:
    """Run the candidates, two at a time.

    Raises:
        AssertionError: an attack gained something, or left something behind.
    """
    rng = random.Random(seed)
    answers: dict[int, object] = {}

    async def one(number: int, name: str | None) -> None:
        if name:
            attack = ATTACKS[name]
            outcome = await attempt(
                pool, attack.source, timeout_s=min(attack.timeout_s, LONGEST_S)
            )
            assert attack.holds(outcome) or outcome.fault, (name, outcome)
            return
        source = f"def answer(x): return sum(i * {number} % 7 for i in range(x))"
        answers[number] = (await attempt(pool, source, 1000)).value

    lowest = Lowest()
    async with opened(provider, 2) as pool:
        watching = asyncio.create_task(lowest.watch())
        started = time.perf_counter()
        await asyncio.gather(
            *(
                one(number, rng.choice(HOSTILE) if number % 4 == 3 else None)
                for number in range(count)
            )
        )
        seconds = time.perf_counter() - started
        watching.cancel()
        for _ in range(2):
            assert await probe(pool) == Traces()
    counts = pool.counts
    return Mixed(answers, seconds, counts.started, counts.discarded, lowest.taken)


def main() -> int:
    """Print a table with each sandbox's time as a ratio to Docker's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=4)
    given = parser.parse_args()
    done = {
        name: asyncio.run(mixed(make(SPEC), given.count, given.seed))
        for name, make in PROVIDERS.items()
    }
    right = {
        n: sum(i * n % 7 for i in range(1000)) for n in range(given.count) if n % 4 != 3
    }
    sys.stdout.write(
        markdown.table(
            [
                "sandbox",
                "seconds",
                "times Docker's",
                "boxes",
                "discarded",
                "memory taken, MB",
                "honest answers right",
            ],
            (
                [
                    name,
                    f"{one.seconds:.1f}",
                    f"{one.seconds / done['docker'].seconds:.2f}",
                    f"{one.started}",
                    f"{one.discarded}",
                    f"{one.taken_bytes >> 20}",
                    f"{sum(one.answers[n] == right[n] for n in right)} of {len(right)}",
                ]
                for name, one in done.items()
            ),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
