"""Verification: score a variant again from its files, and compare with the record."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evolve.archive import (
    Aggregate,
    Evaluation,
    Files,
    Kind,
    Proposal,
    interval,
    of_attempts,
)
from evolve.errors import RunError
from evolve.evaluation.evaluator import Evaluator
from evolve.models import OutOfBudget
from evolve.retry import sandbox_failed
from evolve.runs.evaluator import open_evaluator
from evolve.runs.folder import RunFolder
from evolve.runs.one_off import alone
from evolve.runs.signature import require_own
from evolve.runs.versions import warn_of_versions
from evolve.sandbox import ProviderFault
from evolve.tasks import CaseSpec, Task


class Verified(NamedTuple):
    """The verification of one case.

    Attributes:
        case: Id of the case.
        split: `search` or `heldout`.
        recorded: Recorded scores, one for each attempt; empty: none.
        now: The new evaluations, as many as were recorded, at least one.
        timed: Whether the score is a speed, which never repeats exactly.
        maximize: Whether a greater score is better.
        seed: Score of the seed on a held-out case; None elsewhere.
        lowest: Lower end of the interval of a recorded speed; None if not timed.
        aggregate: How attempts make the score of the case.
    """

    case: str
    split: str
    recorded: tuple[float, ...]
    now: tuple[Evaluation, ...]
    timed: bool = False
    maximize: bool = True
    seed: float | None = None
    lowest: float | None = None
    aggregate: Aggregate = "mean"

    @property
    def failed(self) -> Evaluation | None:
        """The first new evaluation that failed."""
        return next((row for row in self.now if row.reason is not None), None)

    @property
    def scores(self) -> tuple[float, ...]:
        """The new scores."""
        return tuple(row.score for row in self.now if row.score is not None)

    @property
    def before(self) -> float | None:
        """The recorded score of the case; None for none."""
        if not self.recorded:
            return None
        return of_attempts(self.aggregate, self.recorded)

    @property
    def after(self) -> float | None:
        """The new score of the case; None if every attempt failed."""
        return of_attempts(self.aggregate, self.scores) if self.scores else None

    def holds(self, tolerance: float) -> bool:
        """Return whether the case was scored, with the recorded score if there is one.

        A score with noise is confirmed if the 95 % intervals of old and new attempts
        overlap, or if the new one is better. A speed is confirmed unless the new interval is
        below the recorded one.

        Args:
            tolerance: Maximum relative difference; 0: exactly equal.

        Returns:
            Whether the record is confirmed.
        """
        before, after = self.before, self.after
        if self.failed is not None or after is None:
            return False
        if before is None:
            return True
        if self.timed:
            lowest = before if self.lowest is None else self.lowest
            highest = self.now[0].metrics["ratio_high"]
            return bool(highest >= lowest * (1 - tolerance))
        if math.isclose(before, after, rel_tol=tolerance, abs_tol=0.0):
            return True
        return len(self.recorded) > 1 and self._within_noise(before, after)

    def _within_noise(self, before: float, after: float) -> bool:
        """Return whether new attempts are better, or their interval overlaps the old one."""
        if (after > before) == self.maximize:
            return True
        old, new = interval(self.recorded), interval(self.scores)
        return new.low <= old.high and old.low <= new.high

    def data(self, tolerance: float) -> dict[str, Any]:
        """Return the verification as JSON data.

        Args:
            tolerance: Maximum relative difference of the scores.

        Returns:
            Case, scores, failure, and whether the record is confirmed.
        """
        row = self.failed or self.now[0]
        return {
            "case": self.case,
            "split": self.split,
            "recorded": self.before,
            "score": self.after,
            "attempts": len(self.now),
            "seed": self.seed,
            "reason": row.reason,
            "message": row.message,
            "holds": self.holds(tolerance),
        }


def check_evaluator(
    task: Task, proposal: Proposal, known: Sequence[Evaluation]
) -> None:
    """Check that the evaluator is unchanged, as else the scores can't be compared.

    Args:
        task: The task with the current evaluator.
        proposal: The variant.
        known: Its recorded evaluations.

    Raises:
        RunError: A recorded evaluation is from another evaluator.
    """
    changed = [
        row for row in known if row.evaluator and row.evaluator != task.evaluator_hash
    ]
    if changed:
        raise RunError(
            f"{proposal.id} was scored by another evaluator ({changed[0].evaluator}, now "
            f"{task.evaluator_hash})",
            f"see: evolve show {proposal.id}",
        )


class Place(NamedTuple):
    """Where a verification runs: the sandbox, the scorer's log, and who hears messages."""

    sandbox: str
    log: Path
    note: Callable[[str], None]


async def verify(
    run: RunFolder,
    task: Task,
    files: Files,
    known: Sequence[Evaluation],
    place: Place,
    heldout: bool = True,
    begin: Callable[[], None] = lambda: None,
) -> list[Verified]:
    """Score a variant on the cases of the task, with the hidden inputs of the run.

    An agent asks the models of the run again, within the limits of the run counted from zero,
    and may act differently.

    Args:
        run: The run.
        task: Its copy of the task.
        files: Path -> content of the variant.
        known: Recorded evaluations of the variant.
        place: Where it runs.
        heldout: Whether to score held-out cases as well.
        begin: Called when the sandbox is ready, before anything is scored.

    Returns:
        One entry per case, in order of the task.

    Raises:
        RunError: The sandbox or a model failed, or the budget is exhausted.
        SandboxUnavailable: The sandbox does not work here.
        TrustError: The run is not signed by this user.
    """
    require_own(run)
    found = []
    async with (
        open_evaluator(
            task, place.sandbox, 1, place.log, place.note, run.settings.scorer_seed
        ) as evaluator,
        alone(evaluator, run.settings, place.note) as anew,
    ):
        other = await warn_of_versions(run, evaluator)
        if other:
            place.note(f"warning: {other}")
        begin()
        # As a further evaluation: the proof that it is an agent was part of the first one.
        asking = replace(anew, kind=Kind.EVALUATE) if anew else None
        most = max(Counter(row.case for row in known).values(), default=1)
        for case in evaluator.task.spec.cases:
            if case.split == "heldout" and not heldout:
                continue
            rows = [row for row in known if row.case == case.id]
            before = {row.attempt: row.score for row in rows if row.score is not None}
            scores = tuple(before.values())
            timed = task.spec.timing is not None
            # of a timed task: against the seed, with as many blocks as a confirmation has
            asked = case.model_copy(update={"split": "heldout"}) if timed else case
            attempts = (0,) if timed else tuple(before) or range(most)
            try:
                now = tuple(
                    [
                        (await evaluator.evaluate(files, [asked], number, asking)).rows[
                            0
                        ]
                        for number in attempts
                    ]
                )
                seed = await _score_of_seed(evaluator, asked) if not scores else None
            except ProviderFault as fault:
                raise sandbox_failed(fault) from None
            except OutOfBudget as error:
                raise RunError(
                    f"{error}, at case {case.id}",
                    "allow more, then verify again: evolve resume with --budget, "
                    "--max-tokens or --max-calls",
                ) from None
            found.append(
                Verified(
                    case.id,
                    case.split,
                    scores,
                    now,
                    timed,
                    task.spec.maximize,
                    seed,
                    _lowest(rows[0]) if timed and rows else None,
                    task.spec.aggregate,
                )
            )
    return found


def _lowest(row: Evaluation) -> float | None:
    """Return the lower end of a recorded speed against the seed's.

    If the variant was measured against a better one than the seed, that one's speed is
    uncertain as well: it is taken to be known as well as the variant's.
    """
    found = row.metrics
    if row.score is None or "ratio_low" not in found:
        return None
    share = found["ratio_low"] / found["ratio"]
    return float(row.score * (share if found["reference"] == 1.0 else share**2))


async def _score_of_seed(evaluator: Evaluator, case: CaseSpec) -> float | None:
    """Return the seed's score, to be shown beside the variant's; None for an agent."""
    task = evaluator.task
    if task.spec.agent is not None:  # its model calls cost
        return None
    return (await evaluator.evaluate(task.seed, [case])).rows[0].score
