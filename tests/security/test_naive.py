"""Cheats that fool an evaluator which imports its candidate, and that get nothing here.

None of them computes a square by itself: an honest score for each is zero. The naive evaluator runs
inside a limited sandbox as a whole, so that hostile code is never loose on the machine.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from evolve.evaluation.evaluator import Verdict
from evolve.runs.evaluator import open_evaluator
from evolve.sandbox import SandboxSpec
from evolve.sandbox.bubblewrap import BubblewrapProvider
from evolve.sandbox.contract import LIMITS, opened
from evolve.sandbox.inside import wire
from evolve.sandbox.rootfs import interpreter
from evolve.tasks import load_task

NAIVE = Path(__file__).parent / "naive"
KEY = "sk-planted"
GIVEN = "def answer(points):\n    "
HONEST = GIVEN + "return [x * x for x in points]"
CHEATS = {
    "values that are no numbers": GIVEN + "return [float('nan')] * len(points)",
    "floats that subtract to nothing": "class F(float):\n    def __sub__(self, other): return 0.0\n"
    + GIVEN
    + "return [F(0.0)] * len(points)",
    "the truth rebound in the main module": GIVEN
    + "import __main__\n    __main__.truth = lambda x: 0.0\n"
    "    return [0.0] * len(points)",
    "the truth borrowed from the caller": GIVEN
    + "import sys\n    truth = sys._getframe(1).f_globals['truth']\n"
    "    return [truth(x) for x in points]",
    "the truth found among all objects": GIVEN
    + "import gc\n    truth = next(f for f in gc.get_objects() if callable(f)"
    " and getattr(f, '__name__', '') == 'truth')\n"
    "    return [truth(x) for x in points]",
    "the truth read from the evaluator's file": GIVEN + "import os\n    held = {}\n"
    "    name = next(n for n in os.listdir('.') if n.startswith('evaluat'))\n"
    "    exec(open(name).read().split('def evaluate')[0], held)\n"
    "    return [held['truth'](x) for x in points]",
    "inputs changed in place": GIVEN
    + "points[:] = [0.0] * len(points)\n    return list(points)",
    "a forged result, then an early exit": GIVEN
    + "import json, os\n    json.dump({'score': 999.0}, open('results.json', 'w'))\n"
    "    os._exit(0)",
    "a result rewritten at exit": "import atexit\natexit.register(lambda: open('results.json', 'w')"
    ".write('{\"score\": 999.0}'))\n" + GIVEN + "return [0.0] * len(points)",
    "a writer of results replaced": "import json\njson.dump = lambda data, file: file.write('{\"score\": 999.0}')\n"
    + GIVEN
    + "return [0.0] * len(points)",
    "builtins replaced": "import builtins\nbuiltins.abs = lambda x: 0.0\n"
    + GIVEN
    + "return [0.0] * len(points)",
    "right only for who leaves the key about": GIVEN
    + "import os\n    found = any('KEY' in name for name in os.environ)\n"
    "    return [x * x if found else 0.0 for x in points]",
}


def naive_scores(sources: Iterable[str]) -> list[float]:
    """What the naive evaluator believes of each."""
    evaluator = (NAIVE / "evaluator.py").read_bytes()
    start = (
        "import os, sys; os.environ['MODEL_API_KEY'] = sys.argv[1]; "
        "os.execv(sys.executable, [sys.executable, 'evaluator.py'])"
    )

    async def work() -> list[float]:
        scores = []
        async with opened(BubblewrapProvider(SandboxSpec(LIMITS))) as pool:
            for source in sources:
                files = {"evaluator.py": evaluator, "program.py": source.encode()}
                async with pool.session() as session:
                    await session.load(files, None)
                    await session.run([interpreter(), "-c", start, KEY])
                    reply = await session.run(
                        [interpreter(), "-c", "print(open('results.json').read())"]
                    )
                stdout, _ = wire.decode(reply.payload)
                scores.append(float(json.loads(stdout)["score"]))
        return scores

    return asyncio.run(work())


def our_verdicts(sources: Iterable[str], sandbox: str) -> list[Verdict]:
    """What the same cheats get in a sandbox, with their scorer outside."""
    task = load_task(NAIVE / "task")

    async def work() -> list[Verdict]:
        with tempfile.NamedTemporaryFile() as log:
            async with open_evaluator(
                task, sandbox, 1, Path(log.name), lambda line: None
            ) as evaluator:
                evaluator.hides_inputs = False  # the test reads what a prompt may not
                return [
                    await evaluator.evaluate(
                        {"program.py": source.encode()}, task.spec.cases_of("search")
                    )
                    for source in sources
                ]

    return asyncio.run(work())


def test_they_fool_the_naive_evaluator() -> None:
    scores = dict(zip(CHEATS, naive_scores(CHEATS.values()), strict=True))
    assert all(score >= 1.0 for score in scores.values()), scores


@pytest.mark.parametrize(
    "sandbox", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
)
def test_they_get_nothing_here(sandbox: str) -> None:
    honest, *cheats = our_verdicts([HONEST, *CHEATS.values()], sandbox)
    assert honest.score == 1.0
    for name, verdict in zip(CHEATS, cheats, strict=True):
        assert verdict.failed is not None or verdict.score == 0.0, (name, verdict)


def test_an_honest_program_scores_in_the_naive_evaluator_too() -> None:
    assert naive_scores([HONEST]) == [1.0]


def test_the_hidden_inputs_are_others_in_every_run() -> None:
    told = [GIVEN + "raise ValueError(repr(points[0]))"]
    (first,), (second,) = (our_verdicts(told, "bubblewrap") for _ in range(2))
    assert (
        first.failed and second.failed and first.failed.message != second.failed.message
    )
