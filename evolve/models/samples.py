"""Several replies to one prompt: the proposals that share it, and each reply's cost."""

from collections.abc import Sequence
from dataclasses import replace

from evolve.archive import Call, CallState, Proposal, SharedPrompt, derive_id
from evolve.models.answers import Completion
from evolve.models.prices import Price


def proposals_of(shared: SharedPrompt, one: Proposal, run_seed: int) -> list[Proposal]:
    """Return all proposals that share a prompt.

    Args:
        shared: the decisions that share it
        one: any of their proposals
        run_seed: seed of the run, from which ids are derived

    Returns:
        Copies with derived ids and numbers, complete enough for a call.
    """
    return [
        replace(one, id=derive_id(run_seed, number), number=number)
        for number in range(shared.first, shared.first + shared.size)
    ]


def shares(
    calls: Sequence[Call], reply: Completion, price: Price, seconds: float
) -> list[Call]:
    """Divide a reply's usage among calls.

    The first call is charged for the prompt and the time; the reply tokens are divided
    evenly.

    Args:
        calls: reserved calls of one request
        reply: replies and total usage
        price: of the model
        seconds: duration of the request

    Returns:
        Settled calls in the same order. One without a reply has failed and costs
        nothing.
    """
    answered = min(len(calls), len(reply.samples))
    each, left = divmod(reply.completion_tokens, answered)
    settled = []
    for place, call in enumerate(calls):
        if place >= answered:
            settled.append(
                replace(
                    call,
                    state=CallState.FAILED,
                    seconds=seconds,
                    error="the server gave fewer replies than it was asked for",
                )
            )
            continue
        prompt, cached, time_s = (
            (reply.prompt_tokens, reply.cached_tokens, seconds)
            if place == 0
            else (0, 0, 0.0)
        )
        completion = each + (place < left)
        if reply.estimated:  # an estimate is never more than the reservation
            prompt = min(prompt, call.reserved_tokens)
            completion = min(completion, call.reserved_tokens - prompt)
        cost = price.cost(prompt, completion, cached, time_s)
        if reply.estimated:
            cost = min(cost, call.reserved_usd)
        sample, remark = reply.samples[place], _remark(reply, place)
        settled.append(
            replace(
                call,
                state=CallState.REPLIED,
                reply=sample.text,
                finish_reason=sample.finish_reason,
                prompt_tokens=prompt,
                completion_tokens=completion,
                cost_usd=cost,
                seconds=seconds,
                error=remark or None,
            )
        )
    return settled


def _remark(reply: Completion, place: int) -> str:
    """Return what is odd about one of the replies; empty if nothing is."""
    return reply.remarks[place] if place < len(reply.remarks) else ""
