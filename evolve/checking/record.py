"""Recording of the seed's answers, for attacks on a program that is slow or random."""

from dataclasses import dataclass

from evolve.checking.attacks import armed
from evolve.checking.hostile import RECORD
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.sandbox import Session
from evolve.sandbox.claims import read_output

_READ = f"import sys; sys.stdout.buffer.write(open({RECORD!r}, 'rb').read())"
_MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Recording:
    """A verdict on the seed, with its recorded answers.

    Attributes:
        verdict: the verdict
        answers: one per call, in order; empty if one can't be recorded
    """

    verdict: Verdict
    answers: tuple[str, ...] = ()


async def record(evaluator: Evaluator) -> Recording:
    """Score the seed and record the results of its functions.

    Exceptions of `Evaluator.evaluate` propagate.

    Args:
        evaluator: of the task

    Returns:
        The verdict and the answers.
    """
    task, found = evaluator.task, list[bytes]()

    async def read(session: Session) -> None:
        reply = await session.run(["python3", "-c", _READ])
        found.append(read_output(reply.payload)[0])

    evaluator.at_end = read
    try:
        verdict = await evaluator.evaluate(
            dict(task.seed) | {task.entry: armed(task, "recorded")},
            task.spec.cases_of("search"),
        )
    finally:
        evaluator.at_end = None
    return Recording(verdict, _answers(b"".join(found)))


def _answers(data: bytes) -> tuple[str, ...]:
    """Return the answers; none if one is missing, because the order would be wrong."""
    lines = data.decode(errors="replace").split()
    return () if len(data) > _MAX_BYTES or "-" in lines else tuple(lines)
