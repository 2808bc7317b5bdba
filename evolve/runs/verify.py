"""Verification: score a variant again from its files, and compare with the record."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from evolve.archive import Evaluation, Files, Kind, Proposal
from evolve.errors import RunError
from evolve.models import OutOfBudget
from evolve.retry import sandbox_failed
from evolve.runs.evaluator import open_evaluator
from evolve.runs.folder import RunFolder
from evolve.runs.one_off import alone
from evolve.runs.signature import require_own
from evolve.sandbox import ProviderFault
from evolve.tasks import Task


class Verified(NamedTuple):
    """The verification of one case.

    Attributes:
        case: Id of the case.
        split: `search` or `heldout`.
        recorded: Mean of the recorded scores; None: none is recorded for this case.
        now: The new evaluation.
        timed: Whether the score is a speed, which never repeats exactly.
    """

    case: str
    split: str
    recorded: float | None
    now: Evaluation
    timed: bool = False

    def holds(self, tolerance: float) -> bool:
        """Return whether the case was scored, with the recorded score if there is one.

        A speed is confirmed unless it is surely lower than the recorded one: the upper end
        of the new interval is below.

        Args:
            tolerance: Maximum relative difference; 0: exactly equal.

        Returns:
            Whether the record is confirmed.
        """
        if self.now.score is None or self.now.reason is not None:
            return False
        if self.timed and self.recorded is not None:
            lowest = self.recorded * (1 - tolerance)
            return bool(self.now.metrics["ratio_high"] >= lowest)
        return self.recorded is None or math.isclose(
            self.recorded, self.now.score, rel_tol=tolerance, abs_tol=0.0
        )

    def data(self, tolerance: float) -> dict[str, Any]:
        """Return the verification as JSON data.

        Args:
            tolerance: Maximum relative difference of the scores.

        Returns:
            Case, scores, failure, and whether the record is confirmed.
        """
        return {
            "case": self.case,
            "split": self.split,
            "recorded": self.recorded,
            "score": self.now.score,
            "reason": self.now.reason,
            "message": self.now.message,
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
        begin()
        # As a further evaluation: the proof that it is an agent was part of the first one.
        asking = replace(anew, kind=Kind.EVALUATE) if anew else None
        for case in evaluator.task.spec.cases:
            if case.split == "heldout" and not heldout:
                continue
            timed = task.spec.timing is not None
            # against the seed, with as many blocks as for a confirmation
            asked = case.model_copy(update={"split": "heldout"}) if timed else case
            try:
                now = (await evaluator.evaluate(files, [asked], 0, asking)).rows[0]
            except ProviderFault as fault:
                raise sandbox_failed(fault) from None
            except OutOfBudget as error:
                raise RunError(
                    f"{error}, at case {case.id}",
                    "allow more, then verify again: evolve resume with --budget, "
                    "--max-tokens or --max-calls",
                ) from None
            scores = [
                row.score
                for row in known
                if row.case == case.id and row.score is not None
            ]
            found.append(
                Verified(
                    case.id, case.split, fmean(scores) if scores else None, now, timed
                )
            )
    return found
