"""Score a variant once more, from its files alone, and hold the result against the record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from evolve.archive import Evaluation, Kind, Proposal
from evolve.errors import RunError
from evolve.models import OutOfBudget
from evolve.retry import sandbox_failed
from evolve.runs.evaluator import open_evaluator
from evolve.runs.folder import RunFolder
from evolve.runs.one_off import alone
from evolve.sandbox import ProviderFault
from evolve.tasks import Task


class Verified(NamedTuple):
    """A case: the mean of its recorded scores, and what came out now."""

    case: str
    split: str
    recorded: float | None  # None: it was never scored on this case
    now: Evaluation

    def holds(self, tolerance: float) -> bool:
        """Scored, and as it is recorded, but for a share of it."""
        if self.now.score is None or self.now.reason is not None:
            return False
        return self.recorded is None or math.isclose(
            self.recorded, self.now.score, rel_tol=tolerance, abs_tol=0.0
        )

    def data(self, tolerance: float) -> dict[str, Any]:
        """As JSON has it."""
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
    """Raises `RunError` for a changed evaluator: its scores say nothing about the record."""
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
    files: Mapping[str, bytes],
    known: Sequence[Evaluation],
    place: Place,
    heldout: bool = True,
    begin: Callable[[], None] = lambda: None,
) -> list[Verified]:
    """Score a variant again on every case, with the inputs that the run drew.

    An agent asks the run's models again, within the run's limits once more, and may
    behave differently.

    Args:
        run: The run's folder.
        task: Its task.
        files: Files of the variant, path -> content.
        known: Its evaluations in the archive.
        place: Where it runs.
        heldout: Whether held-out cases are scored, too.
        begin: Called when the sandbox is ready, before anything is scored.

    Returns:
        One result per case, in the order of the task.

    Raises:
        RunError: The sandbox or a model failed, or the budget is used up.
    """
    found = []
    async with (
        open_evaluator(
            task, place.sandbox, 1, place.log, place.note, run.settings.scorer_seed
        ) as evaluator,
        alone(evaluator, run.settings, place.note) as anew,
    ):
        begin()
        # As a further evaluation: that it is an agent was shown when it was made.
        asking = replace(anew, kind=Kind.EVALUATE) if anew else None
        for case in evaluator.task.spec.cases:
            if case.split == "heldout" and not heldout:
                continue
            try:
                now = (await evaluator.evaluate(files, [case], 0, asking)).rows[0]
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
                Verified(case.id, case.split, fmean(scores) if scores else None, now)
            )
    return found
