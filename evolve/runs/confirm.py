"""Confirm the winner of a timed task: measured against the seed on inputs that are new.

A search over many variants keeps luck. So the end of a run with a new best variant looks
once, on record, on the held-out cases. The looks of a run share one budget of errors:
look j may err with the probability 0.05 * 6 / (pi * j)**2, so all of them together with at
most 5 %, however long the search goes on.
"""

from collections.abc import Awaitable, Callable, Sequence
from statistics import fmean

from evolve.archive import Evaluation
from evolve.engine.recorder import Recorder
from evolve.evaluation.evaluator import Evaluator
from evolve.retry import retry_sandbox
from evolve.timing import Finding, Plan, judge
from evolve.timing.confirmation import CONFIRMED, Confirmation, confirmation_of


async def confirm(
    recorder: Recorder,
    evaluator: Evaluator,
    patience_s: float,
    waiting: Callable[[str], Awaitable[None]],
) -> Confirmation | None:
    """Look at the held-out inputs for the best variant, once for each.

    Args:
        recorder: Of the run.
        evaluator: Of the run.
        patience_s: How long to retry after a fault of the machine.
        waiting: Called with a message before each retry.

    Returns:
        What this or an earlier look has shown; None if the task is not timed, or no
        variant is better than the seed.

    Raises:
        ProviderFault: The machine failed.
    """
    spec, best = evaluator.task.spec, recorder.snapshot.best()
    if spec.timing is None or best is None or best.number == 0:
        return None
    earlier = [
        confirmation_of(event.data)
        for event in recorder.archive.events(kinds=(CONFIRMED,))
    ]
    for seen in earlier:
        if seen.variant == best.id:
            return seen
    look = len(earlier) + 1
    cases = spec.cases_of("heldout") or spec.cases_of("search")
    files = await recorder.files_of(best.id)
    unseen = [case.model_copy(update={"split": "heldout"}) for case in cases]
    verdict = await retry_sandbox(
        lambda: evaluator.evaluate(files, unseen, look - 1), patience_s, waiting
    )
    found = Confirmation(best.id, look, _together(verdict.rows, look))
    await recorder.note(CONFIRMED, found.as_data())
    return found


def _together(rows: Sequence[Evaluation], look: int) -> Finding:
    """Judge all cases together: a block is the mean over the cases."""
    if any(row.reason is not None for row in rows):
        return Finding(0.0, 0.0, 0.0, 0, 1.0, sure=False)
    series = [row.metrics["differences"] for row in rows]
    blocks = [fmean(block) for block in zip(*series, strict=False)]
    return judge(blocks, Plan.confirmation(look))
