"""Several replies to one prompt: which proposals share it, and what each reply has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evolve.archive import Call, CallState, Proposal, SharedPrompt, derive_id
from evolve.models.client import Completion
from evolve.models.prices import Price


def proposals_of(shared: SharedPrompt, one: Proposal, run_seed: int) -> list[Proposal]:
    """Return all proposals that share a prompt, as far as a call needs them, from any one of them.

    Their ids follow from the run's seed and their numbers.
    """
    return [
        replace(one, id=derive_id(run_seed, number), number=number)
        for number in range(shared.first, shared.first + shared.size)
    ]


def shares(
    calls: Sequence[Call], reply: Completion, price: Price, seconds: float
) -> list[Call]:
    """The calls with their replies; the first bears the prompt and the time, all share the rest.

    A reply that was asked for and did not come is a failed call, which costs nothing.
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
        cost = price.cost(prompt, completion, cached, time_s)
        if not reply.believable:  # then the most that it can have been
            prompt, completion, cost = 0, call.reserved_tokens, call.reserved_usd
        sample = reply.samples[place]
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
            )
        )
    return settled
