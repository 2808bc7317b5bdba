"""The seed's score, its variation, and whether its answers can be repeated.

An attack pays if it scores more than the seed. If the seed's score varies, two scores
give little information. Then its answers are recorded once and repeated, so that the
program's own luck is the same for all attacks; if that does not help, the seed is
scored several more times.
"""

from dataclasses import dataclass, replace

from evolve.checking.attacks import armed
from evolve.checking.record import Recording, record
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.retry import sandbox_failed
from evolve.runs.evaluator import score_seed
from evolve.sandbox import ProviderFault
from evolve.text import Note

_SLOW_S = 3.0  # a slower seed is not computed again for each attack
# greatest number and total time of scorings of a seed that varies
_TIMES, _WHOLE_S = 8, 40.0
_REPEATS, _FEW = 3, 5
# greatest share of the variation that may remain with repeated answers
_NARROWER = 0.1


@dataclass(frozen=True)
class Baseline:
    """Scores of the seed for comparison with attacks.

    Attributes:
        first: first verdict on the seed
        second: second verdict
        scores: scores to compare attacks with
        answers: recorded answers; empty if they are not repeated
        repeated_s: seconds per case with repeated answers; None without
    """

    first: Verdict
    second: Verdict
    scores: tuple[float, ...]
    answers: tuple[str, ...] = ()
    repeated_s: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds that the second evaluation took, summed over its cases."""
        return sum(row.seconds for row in self.second.rows)

    @property
    def slow(self) -> bool:
        """Whether the seed is too slow to be computed again for each attack (`_SLOW_S`)."""
        return self.seconds > _SLOW_S

    @property
    def varies(self) -> bool:
        """Whether the two evaluations of the seed give different scores."""
        return self.first.score != self.second.score

    @property
    def spread(self) -> float:
        """Difference between the greatest and the least of `scores`; 0 if they are equal."""
        return max(self.scores) - min(self.scores)

    @property
    def is_luck(self) -> bool:
        """Whether the seed varies, but its repeated answers score the same."""
        return self.varies and bool(self.answers) and not self.spread

    @property
    def attack_s(self) -> float:
        """Seconds per case of a program that does no more than necessary."""
        if self.repeated_s is not None:
            return self.repeated_s
        return max(row.seconds for row in self.second.rows)

    def margin(self) -> float:
        """Return the tolerance around the seed's scores.

        Returns:
            The spread of the scores, doubled if there are few, plus rounding errors.
        """
        return self.spread * (2 if len(self.scores) < _FEW else 1) + 1e-12 * max(
            map(abs, self.scores)
        )

    def better(self, score: float, maximize: bool) -> bool:
        """Return whether a score is better than the seed's.

        Args:
            score: in the task's own direction
            maximize: whether a higher score is better

        Returns:
            False within the margin.
        """
        if maximize:
            return score > max(self.scores) + self.margin()
        return score < min(self.scores) - self.margin()

    def worse(self, score: float, maximize: bool) -> bool:
        """Return whether a score is worse than the seed's.

        Args:
            score: in the task's own direction
            maximize: whether a higher score is better

        Returns:
            False within the margin.
        """
        return replace(self, scores=tuple(-s for s in self.scores)).better(
            -score, maximize
        )


async def measure(evaluator: Evaluator, note: Note) -> Baseline:
    """Score the seed at least twice.

    Args:
        evaluator: of the task
        note: called with messages for people

    Returns:
        The baseline for attacks.

    Raises:
        TaskError: the seed has no score
        RunError: a fault of the sandbox
    """
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
                f"repeat its answers, {repeating.repeated_s:.1f} s each"
            )
            return repeating
    return await _scored_more(evaluator, seeds) if seeds.varies else seeds


async def _recorded(evaluator: Evaluator) -> Recording | None:
    """Return the seed's answers if they can be recorded."""
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
    """Return a baseline with repeated answers if it is equivalent or varies less."""
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
    """Score a program in place of the entry.

    Args:
        evaluator: of the task
        program: text of the entry

    Returns:
        The verdict on the search cases.

    Raises:
        RunError: a fault of the sandbox
    """
    task = evaluator.task
    try:
        return await evaluator.evaluate(
            dict(task.seed) | {task.entry: program}, task.spec.cases_of("search")
        )
    except ProviderFault as fault:
        raise sandbox_failed(fault) from None
