"""Variants as plain data: `tree --json`, `show --json`, JSON lines."""

from evolve.archive import SIGNS, Proposal, Variant
from evolve.runs.reader import OpenRun
from evolve.text import Data
from evolve.view.columns import View, row_of

_OF_EVALUATIONS = [
    "case",
    "split",
    "attempt",
    "score",
    "metrics",
    "feedback",
    "reason",
    "message",
    "seconds",
    "cpu_s",
    "peak_memory_bytes",
]
_OF_CALLS = [
    "model",
    "purpose",
    "step",
    "attempt",
    "state",
    "request",
    "reply",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "error",
    "seconds",
]


def variants_data(run: OpenRun) -> list[Data]:
    """Return the proposals that passed the checks.

    Args:
        run: the open run

    Returns:
        One row per variant, in the order of the decisions.
    """
    return [_data(run, variant) for variant in run.variants]


def detail_data(run: OpenRun, proposal: Proposal) -> Data:
    """Return everything known about a proposal.

    Args:
        run: the open run
        proposal: one of its proposals

    Returns:
        Its row with log, evaluations, calls and patch.
    """
    return _data(run, run.variant(proposal)) | {
        "message": proposal.message,
        "log": proposal.log,
        "commit": proposal.commit,
        "evaluations": [
            {name: getattr(row, name) for name in _OF_EVALUATIONS}
            for row in run.archive.evaluations(proposal.id)
        ],
        "calls": [
            {name: getattr(call, name) for name in _OF_CALLS}
            for call in run.archive.calls(proposal.id)
        ],
        "patch": None
        if proposal.tree is None
        else run.patch(run.parent_of(proposal), proposal),
    }


def _data(run: OpenRun, variant: Variant) -> Data:
    data = row_of(variant, View.JSON) | {
        "evaluator_shared": run.shares_evaluator,
        "through_transport": run.through_transport,
    }
    if run.task.spec.agent is not None:
        data[SIGNS] = run.signs.get(variant.id)
    return data
