"""Who decides on a numbered slot, and the proposals that a decision becomes."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from evolve.archive import (
    CaseAttempt,
    Decision,
    Kind,
    Proposal,
    SharedPrompt,
    Snapshot,
    State,
    derive_id,
)
from evolve.plugins import plugin_error, plugin_errors
from evolve.search import (
    Action,
    Evaluate,
    Expand,
    Policy,
    Racing,
    Skip,
    Stop,
    prompt_context,
)


class Decider(Protocol):
    """Decides on a numbered slot."""

    def decide(self, number: int, snapshot: Snapshot) -> Action | Skip | None:
        """None: not yet, something that runs must end first."""


@dataclass(frozen=True)
class PolicyDecider:
    """A policy with the generator of (run seed, decision number)."""

    policy: Policy
    seed: int
    samples: int = 1  # children of one prompt, where a model is asked

    def decide(self, number: int, snapshot: Snapshot) -> Action:
        """What the policy says."""
        rng = np.random.default_rng([self.seed, number])
        with plugin_errors("policy", self.policy):
            decision = self.policy.decide(snapshot, rng)
        self._check(decision, snapshot)
        if not isinstance(decision, Expand):
            return decision
        mix = self.policy.operators
        if decision.model is None:
            decision = replace(
                decision, model=mix.draw_model(decision.operator, snapshot, rng)
            )
        return replace(
            decision, samples=self.samples if decision.operator in mix.asking else 1
        )

    def _check(self, decision: object, snapshot: Snapshot) -> None:
        """Raises `RunError` for what can't be carried out: a policy may be anyone's."""
        if isinstance(decision, Stop):
            return
        chosen = self.policy.policy if isinstance(self.policy, Racing) else self.policy
        if not isinstance(decision, Expand | Evaluate):
            raise plugin_error(
                "policy",
                chosen,
                f"decided {decision!r}",
                "decide() returns Expand, Evaluate or Stop",
            )
        if (
            isinstance(decision, Expand)
            and decision.operator not in self.policy.operators.parents
        ):
            raise plugin_error(
                "policy",
                chosen,
                f"chose the operator {decision.operator!r}",
                "self.operators.draw(...) gives one of the run's",
            )
        named = (
            decision.parents if isinstance(decision, Expand) else (decision.variant,)
        )
        for variant in named:
            if variant not in snapshot:
                raise plugin_error(
                    "policy",
                    chosen,
                    f"chose the variant {variant!r}",
                    "take ids from the snapshot: snapshot.proposals",
                )


def plan_proposals(
    decision: Expand | Evaluate,
    seed: int,
    number: int,
    snapshot: Snapshot,
    settled: int | None = None,
    count: int = 1,
    shows: Collection[str] = (),
) -> list[Proposal]:
    """The proposals of a decision, from `number` on: `count` children that share a prompt.

    Their prompt context is part of it: what is shown was known when it was decided. Ids follow from the
    run's seed and the numbers.
    """
    if isinstance(decision, Evaluate):
        return [
            Proposal(
                derive_id(seed, number),
                number,
                State.PLANNED,
                Kind.EVALUATE.value,
                (decision.variant,),
                snapshot.last_event,
                time.time(),
                kind=Kind.EVALUATE,
                decision=Decision(
                    settled=settled,
                    evaluates=CaseAttempt(decision.case, decision.attempt),
                ),
            )
        ]
    known = replace(
        prompt_context(decision, snapshot, shows),
        settled=settled,
        shared=SharedPrompt(number, count) if count > 1 else None,
    )
    return [
        Proposal(
            derive_id(seed, each),
            each,
            State.PLANNED,
            decision.operator,
            decision.parents,
            snapshot.last_event,
            time.time(),
            island=decision.island,
            model=decision.model,
            decision=known,
        )
        for each in range(number, number + count)
    ]
