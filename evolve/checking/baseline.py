"""What the seed scores, how far that varies, and whether its answers can be repeated.

An attack pays when it scores more than the seed. Where the seed's score is another one each time, two
of them say little: then its answers are taken down once and repeated, so that the program's own luck is
the same for all; where that does not help, the seed is scored some times more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from evolve.checking.attacks import armed
from evolve.checking.record import Recording, record
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.retry import sandbox_failed
from evolve.runs.evaluator import score_seed
from evolve.sandbox import ProviderFault

Note = Callable[[str], None]
_SLOW_S = 3.0  # a seed that takes longer is not computed again for each attack
# a seed that varies is scored so often, while it takes no longer
_TIMES, _WHOLE_S = 8, 40.0
_REPEATS, _FEW = 3, 5
# of what the seed varies: so little must be left when its answers are repeated
_NARROWER = 0.1


@dataclass(frozen=True)
class Baseline:
    """Two verdicts on the seed, the scores that attacks are compared with, and its answers."""

    first: Verdict
    second: Verdict
    scores: tuple[float, ...]
    answers: tuple[str, ...] = ()
    repeated_s: float | None = None  # what a case takes when they are repeated

    @property
    def seconds(self) -> float:
        return sum(row.seconds for row in self.second.rows)

    @property
    def slow(self) -> bool:
        return self.seconds > _SLOW_S

    @property
    def varies(self) -> bool:
        return self.first.score != self.second.score

    @property
    def spread(self) -> float:
        return max(self.scores) - min(self.scores)

    @property
    def is_luck(self) -> bool:
        """True when the seed varies and its repeated answers do not: the scorer draws nothing."""
        return self.varies and bool(self.answers) and not self.spread

    @property
    def attack_s(self) -> float:
        """What a case takes of a program that does not do more than it must."""
        if self.repeated_s is not None:
            return self.repeated_s
        return max(row.seconds for row in self.second.rows)

    def margin(self) -> float:
        """How far beyond the seed's scores one is still the seed's: what they differ, of few twice."""
        return self.spread * (2 if len(self.scores) < _FEW else 1) + 1e-12 * max(
            map(abs, self.scores)
        )

    def better(self, score: float, maximize: bool) -> bool:
        """True for a score that the seed does not reach."""
        if maximize:
            return score > max(self.scores) + self.margin()
        return score < min(self.scores) - self.margin()

    def worse(self, score: float, maximize: bool) -> bool:
        """True for a score that the seed does not fall to."""
        return replace(self, scores=tuple(-s for s in self.scores)).better(
            -score, maximize
        )


async def measure(evaluator: Evaluator, note: Note) -> Baseline:
    """Score the seed twice or more. Raises `TaskError` when it has no score."""
    first = await score_seed(evaluator)
    slow = sum(row.seconds for row in first.rows) > _SLOW_S
    recording = await _recorded(evaluator) if slow else None
    second = recording.verdict if recording else await score_seed(evaluator)
    seeds = Baseline(first, second, (first.score, second.score))
    if recording is None and seeds.varies:
        recording = await _recorded(evaluator)
    if recording is not None and recording.answers:
        repeating = await _repeated(evaluator, seeds, recording)
        if repeating is not None:
            note(
                f"the seed {'takes' if slow else 'varies, and takes'} {seeds.seconds:.1f} s: attacks "
                f"repeat what it answered, {repeating.repeated_s:.1f} s each"
            )
            return repeating
    return await _scored_more(evaluator, seeds) if seeds.varies else seeds


async def _recorded(evaluator: Evaluator) -> Recording | None:
    """The seed's answers, where they can be taken down."""
    task = evaluator.task
    if not task.entry.endswith(".py") or len(task.spec.cases_of("search")) != 1:
        return None
    try:
        recording = await record(evaluator)
    except ProviderFault as fault:
        raise sandbox_failed(fault) from None
    return recording if recording.verdict.failed is None else None


async def _repeated(
    evaluator: Evaluator, seeds: Baseline, recording: Recording
) -> Baseline | None:
    """With the answers, if repeating them scores as giving them did, or varies far less."""
    program = armed(evaluator.task, "repeated", recording.answers)
    scores, seconds = [recording.verdict.score], 0.0
    for _ in range(_REPEATS if seeds.varies else 1):
        verdict = await scored(evaluator, program)
        if verdict.failed is not None:
            return None
        scores.append(verdict.score)
        seconds = sum(row.seconds for row in verdict.rows)
    found = replace(
        seeds, scores=tuple(scores), answers=recording.answers, repeated_s=seconds
    )
    return (
        found if not found.spread or found.spread < _NARROWER * seeds.spread else None
    )


async def _scored_more(evaluator: Evaluator, seeds: Baseline) -> Baseline:
    scores, taken = list(seeds.scores), 2 * seeds.seconds
    while len(scores) < _TIMES and taken + seeds.seconds < _WHOLE_S:
        verdict = await score_seed(evaluator)
        scores.append(verdict.score)
        taken += sum(row.seconds for row in verdict.rows)
    return replace(seeds, scores=tuple(scores))


async def scored(evaluator: Evaluator, program: bytes) -> Verdict:
    """The verdict on a program in the entry's place. Raises `RunError` for a fault of the sandbox."""
    task = evaluator.task
    try:
        return await evaluator.evaluate(
            dict(task.seed) | {task.entry: program}, task.spec.cases_of("search")
        )
    except ProviderFault as fault:
        raise sandbox_failed(fault) from None
