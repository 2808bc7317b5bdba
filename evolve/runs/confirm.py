"""Confirm the winner of a timed or noisy task against the seed, on inputs that are new.

A search over many variants keeps luck. So the end of a run with a new best variant looks
once, on record, on the held-out cases. The looks of a run share one budget of errors:
look j may err with the probability 0.05 * 6 / (pi * j)**2, so all of them together with at
most 5 %, however long the search goes on.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from statistics import fmean

from evolve.archive import Evaluation, Files, Proposal
from evolve.engine.recorder import Recorder
from evolve.evaluation.evaluator import Evaluator
from evolve.retry import retry_sandbox
from evolve.tasks import CaseSpec
from evolve.timing import Finding, Plan, judge
from evolve.timing.confirmation import CONFIRMED, Confirmation, confirmation_of
from evolve.timing.signed_rank import estimate, interval, p_greater

FEWEST_PAIRS = 8  # of evaluations: fewer could hardly be sure
_FAILED = Finding(0.0, 0.0, 0.0, 0, 1.0, sure=False)


class Confirmer:
    """Looks at the held-out cases of a run.

    Args:
        recorder: Of the run.
        evaluator: Of the run.
        repeats: Most attempts at a case in the search; above 1 the task is noisy.
        patience_s: How long to retry after a fault of the machine.
        waiting: Called with a message before each retry.
    """

    def __init__(
        self,
        recorder: Recorder,
        evaluator: Evaluator,
        repeats: int,
        patience_s: float,
        waiting: Callable[[str], Awaitable[None]],
    ) -> None:
        self._recorder, self._evaluator = recorder, evaluator
        self._repeats = repeats
        self._patience_s, self._waiting = patience_s, waiting

    async def confirm(self) -> Confirmation | None:
        """Look for the best variant, once for each.

        Returns:
            What this or an earlier look has shown; None if the task is neither timed nor
            noisy, or no variant is better than the seed.

        Raises:
            ProviderFault: The machine failed.
        """
        best = self._recorder.snapshot.best()
        if best is None or best.number == 0 or not self._cases():
            return None
        events = self._recorder.archive.events(kinds=(CONFIRMED,))
        earlier = [confirmation_of(event.data) for event in events]
        for seen in earlier:
            if seen.variant == best.id:
                return seen
        found = await self._look(best, len(earlier) + 1)
        await self._recorder.note(CONFIRMED, found.as_data())
        return found

    def _cases(self) -> Sequence[CaseSpec]:
        """Return the cases to look at; none if the task needs no confirmation.

        An agent's look costs model calls: `evolve promote` makes it.
        """
        spec = self._evaluator.task.spec
        heldout = spec.cases_of("heldout")
        if spec.timing is not None:
            return heldout or spec.cases_of("search")
        return heldout if self._repeats > 1 and spec.agent is None else ()

    async def _look(self, best: Proposal, look: int) -> Confirmation:
        files = await self._recorder.files_of(best.id)
        unseen = [
            case.model_copy(update={"split": "heldout"}) for case in self._cases()
        ]
        timed = self._evaluator.task.spec.timing is not None
        measure = self._of_times if timed else self._of_scores
        return Confirmation(best.id, look, await measure(files, unseen, look), timed)

    async def _of_times(
        self, files: Files, cases: Sequence[CaseSpec], look: int
    ) -> Finding:
        """Judge all cases together: a block is the mean over the cases."""
        rows = await self._rows(files, cases, look - 1)
        if any(row.reason is not None for row in rows):
            return _FAILED
        series = [row.metrics["differences"] for row in rows]
        blocks = [fmean(block) for block in zip(*series, strict=False)]
        return judge(blocks, Plan.confirmation(look))

    async def _of_scores(
        self, files: Files, cases: Sequence[CaseSpec], look: int
    ) -> Finding:
        """Compare scores of winner and seed, in pairs of the same case and attempt."""
        task, differences = self._evaluator.task, []
        sign = 1.0 if task.spec.maximize else -1.0
        attempts = max(self._repeats, math.ceil(FEWEST_PAIRS / len(cases)))
        for attempt in range(attempts):
            ours = await self._rows(files, cases, attempt)
            theirs = await self._rows(task.seed, cases, attempt)
            for mine, other in zip(ours, theirs, strict=False):
                if mine.score is None or other.score is None:
                    return _FAILED
                differences.append(sign * (mine.score - other.score))
        p = p_greater(differences)
        return Finding(
            estimate(differences),
            *interval(differences),
            len(differences),
            p,
            p <= Plan.confirmation(look).error,
        )

    async def _rows(
        self, files: Files, cases: Sequence[CaseSpec], attempt: int
    ) -> Sequence[Evaluation]:
        verdict = await retry_sandbox(
            lambda: self._evaluator.evaluate(files, cases, attempt),
            self._patience_s,
            self._waiting,
        )
        return verdict.rows
