"""Decisions: what to do for each decision number, and the proposals that follow."""

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
    Hopeless,
    Policy,
    Racing,
    Skip,
    Stop,
    prompt_context,
)


class Tunes(Protocol):
    """Chooses the parent and the numbers of a step that tunes a program."""

    def tune(
        self, decision: Expand, snapshot: Snapshot, rng: np.random.Generator
    ) -> Expand | None:
        """Return the decision with parent and numbers; None if tuning does not pay."""


@dataclass(frozen=True)
class Tuning:
    """The tuner of a run.

    Attributes:
        tuner: Chooses parents and numbers.
        operators: Operators whose children it makes.
        otherwise: The policy without these operators, for when tuning does not pay.
    """

    tuner: Tunes
    operators: Collection[str]
    otherwise: Policy


class Decider(Protocol):
    """Makes the decision for each decision number: a policy, or the record of a run."""

    def decide(self, number: int, snapshot: Snapshot) -> Action | Skip | None:
        """Make a decision.

        Args:
            number: Number of the decision.
            snapshot: The results that the decision may see.

        Returns:
            The action; `Skip` if there is none under this number; None if a proposal in
            flight must finish first.
        """


@dataclass(frozen=True)
class PolicyDecider:
    """A policy whose generator is seeded with (seed of the run, decision number).

    Attributes:
        policy: The policy.
        seed: Seed of the run.
        samples: Children per prompt, for operators that ask a model.
        hopeless: Models that are given up; None: none ever is.
        tuning: The tuner; None: no operator needs one.
    """

    policy: Policy
    seed: int
    samples: int = 1
    hopeless: Hopeless | None = None
    tuning: Tuning | None = None

    def decide(self, number: int, snapshot: Snapshot) -> Action:
        """Ask the policy, and add the model and the number of samples.

        Args:
            number: Number of the decision.
            snapshot: The results that the decision may see.

        Returns:
            The checked action.

        Raises:
            RunError: The policy failed, or its decision can't be carried out.
        """
        rng = np.random.default_rng([self.seed, number])
        with plugin_errors("policy", self.policy):
            decision = self._tuned(self.policy.decide(snapshot, rng), snapshot, rng)
        self._check(decision, snapshot)
        if not isinstance(decision, Expand):
            return decision
        mix = self.policy.operators
        if decision.model is None:
            decision = replace(
                decision, model=mix.draw_model(decision.operator, snapshot, rng)
            )
        if decision.operator in mix.asking:
            decision = self._without_hopeless(decision, snapshot, rng)
        return replace(
            decision, samples=self.samples if decision.operator in mix.asking else 1
        )

    def _tuned(
        self, decision: Action, snapshot: Snapshot, rng: np.random.Generator
    ) -> Action:
        """Complete a decision to tune, or have the policy decide again without tuning."""
        tuning = self.tuning
        if tuning is None or not isinstance(decision, Expand):
            return decision
        if decision.operator not in tuning.operators:
            return decision
        found = tuning.tuner.tune(decision, snapshot, rng)
        return found or tuning.otherwise.decide(snapshot, rng)

    def _without_hopeless(
        self, decision: Expand, snapshot: Snapshot, rng: np.random.Generator
    ) -> Expand:
        """Replace a model that is given up, or that might be drawn although it is.

        Returns:
            The decision, unchanged as long as no model is given up.
        """
        if self.hopeless is None:
            return decision
        self.hopeless.read(snapshot.outcomes)
        other = self.hopeless.draw(rng)
        chosen = decision.model
        if other is None or (chosen and not self.hopeless.is_hopeless(chosen)):
            return decision
        return replace(decision, model=other)

    def _check(self, decision: object, snapshot: Snapshot) -> None:
        """Check that a decision can be carried out: a policy may be a third-party plugin.

        Raises:
            RunError: Another type, or an operator or a variant that the run doesn't have.
        """
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
                "self.operators.draw(...) returns an operator of the run",
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
    """Return the proposals of a decision, not recorded yet.

    The ids of the prompt context are fixed here: a prompt shows only results that the
    decision saw. Ids of proposals follow from the seed and their numbers.

    Args:
        decision: What to expand or to evaluate.
        seed: Seed of the run.
        number: Decision number of the first proposal.
        snapshot: The results that the decision saw.
        settled: All results up to this decision number are recorded; None if results are
            not recorded by number.
        count: Number of children, which share a prompt; not for an evaluation.
        shows: Kinds of prompt context that the operator shows.

    Returns:
        One proposal for an evaluation, else `count` proposals with consecutive numbers.
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
