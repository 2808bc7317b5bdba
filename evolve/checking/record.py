"""What the seed answers, taken down once: attacks on a slow program need not compute it again."""

from __future__ import annotations

from dataclasses import dataclass

from evolve.checking.attacks import armed
from evolve.checking.hostile import RECORD
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.sandbox import Session
from evolve.sandbox.inside import wire

_READ = f"import sys; sys.stdout.buffer.write(open({RECORD!r}, 'rb').read())"
_MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Recording:
    """A verdict on the seed, and its answers in their order; none where they can't be kept."""

    verdict: Verdict
    answers: tuple[str, ...] = ()


async def record(evaluator: Evaluator) -> Recording:
    """Score the seed and keep what its functions return. Raises what `Evaluator.evaluate` raises."""
    task, found = evaluator.task, [b""]

    async def read(session: Session) -> None:
        reply = await session.run(["python3", "-c", _READ])
        found[-1] = wire.decode(reply.payload)[0]

    evaluator.at_end = read
    try:
        verdict = await evaluator.evaluate(
            dict(task.seed) | {task.entry: armed(task, "recorded")},
            task.spec.cases_of("search"),
        )
    finally:
        evaluator.at_end = None
    return Recording(verdict, _answers(found[-1]))


def _answers(data: bytes) -> tuple[str, ...]:
    """Nothing, if one of them could not be kept: the others would stand in the wrong place."""
    lines = data.decode(errors="replace").split()
    return () if len(data) > _MAX_BYTES or "-" in lines else tuple(lines)
