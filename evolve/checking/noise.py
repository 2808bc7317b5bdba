"""Measure the noise of a task on this machine with its seed."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from evolve.checking.findings import Finding
from evolve.checking.machine import machine_findings
from evolve.errors import TaskError
from evolve.evaluation.evaluator import Evaluator
from evolve.runs.evaluator import open_evaluator
from evolve.sandbox.provider import Progress
from evolve.tasks import CaseSpec, Task
from evolve.timing import Plan
from evolve.timing.noise import Noise, noise_of

FEWEST, MOST = 5, 100  # evaluations of a seed that is not timed


@dataclass(frozen=True)
class CaseNoise:
    """The noise of one case.

    Attributes:
        case: Its id.
        noise: Of differences between the seed and itself.
        timed: Whether they are ratios of blocks; else scores of whole evaluations.
    """

    case: str
    noise: Noise
    timed: bool


@dataclass(frozen=True)
class NoiseReport:
    """Noise and machine.

    Attributes:
        cases: The search cases.
        machine: What disturbs timing here.
    """

    cases: tuple[CaseNoise, ...]
    machine: tuple[Finding, ...]


async def measure_noise(
    task: Task, sandbox: str, seconds: float, log: Path, note: Progress
) -> NoiseReport:
    """Measure how much the seed differs from itself.

    Args:
        task: The task.
        sandbox: Name of a sandbox, or "auto".
        seconds: About how long to measure each case.
        log: File for the scorers' output.
        note: Called with messages for people.

    Returns:
        The report.

    Raises:
        TaskError: The seed fails, or scores 0.
    """
    cases = []
    async with open_evaluator(task, sandbox, 1, log, note) as evaluator:
        for case in evaluator.task.spec.cases_of("search"):
            note(f"noise: measuring {case.id}")
            timed = task.spec.timing is not None
            found = (
                await _of_blocks(evaluator, case)
                if timed
                else await _of_scores(evaluator, case, seconds)
            )
            cases.append(CaseNoise(case.id, found, timed))
    return NoiseReport(tuple(cases), tuple(machine_findings()))


async def _of_blocks(evaluator: Evaluator, case: CaseSpec) -> Noise:
    """Return the noise of blocks in which both sides are the seed."""
    confirming = case.model_copy(update={"split": "heldout"})  # never gives up
    row = (await evaluator.evaluate(evaluator.task.seed, [confirming])).rows[0]
    if row.reason is not None:
        raise TaskError(f"the seed fails on case {case.id}: {row.message}")
    return noise_of(row.metrics["differences"], row.seconds)


async def _of_scores(evaluator: Evaluator, case: CaseSpec, seconds: float) -> Noise:
    """Return the noise of scores, as shares of their median."""
    started = time.monotonic()
    scores: list[float] = []
    while len(scores) < MOST:
        late = time.monotonic() - started > seconds
        if late and len(scores) >= FEWEST:
            break
        seed, attempt = evaluator.task.seed, len(scores)
        row = (await evaluator.evaluate(seed, [case], attempt)).rows[0]
        if row.score is None or row.reason is not None:
            raise TaskError(f"the seed fails on case {case.id}: {row.message}")
        scores.append(row.score)
    middle = median(scores)
    if middle == 0:
        raise TaskError(f"the seed scores 0 on case {case.id}: there is no share of it")
    shares = [score / middle - 1 for score in scores]
    return noise_of(shares, time.monotonic() - started)


def detectable(found: CaseNoise, task: Task, seconds: float) -> float:
    """Return the least gain that is found in a given time with a probability of 80 %.

    Args:
        found: The noise of a case.
        task: Its task.
        seconds: Time for one variant.

    Returns:
        The gain as a share; infinity if the time is too short for two measurements.
    """
    count = min(seconds / found.noise.unit_s, 1000.0)
    if count < 2:
        return float("inf")
    if found.timed:
        timing = task.spec.timing
        assert timing is not None
        return found.noise.detectable(count, Plan(worthwhile=timing.worthwhile))
    # the difference of two means of `count` scores has twice the variance
    return found.noise.detectable(count / 2, Plan(margin=0.0))
