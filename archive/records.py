"""Frozen records of the archive: rows as they are outside the database."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from evolve.archive.decision import NOTHING_DECIDED, CaseAttempt, Decision, Kind

Files = Mapping[str, bytes]
"""A tree of files: path -> content; "/" separates directories."""


class State(StrEnum):
    """The state of a proposal. The last four are final."""

    PLANNED = "planned"
    REPLIED = "replied"
    PROPOSED = "proposed"
    EVALUATING = "evaluating"
    SCORED = "scored"
    FAILED = "failed"
    REJECTED = "rejected"
    EVALUATED = "evaluated"  # final state of a decision to evaluate, without a variant

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self in (State.SCORED, State.FAILED, State.REJECTED, State.EVALUATED)


class AddStatus(StrEnum):
    """The result of adding a scored variant, from least to most."""

    KEPT = "kept"  # another node of the tree
    IMPROVED = "improved"  # better than all its parents
    BEST = "best"  # better than every variant before it


class CallState(StrEnum):
    """The state of a model call; `sent` is committed before the request leaves."""

    SENT = "sent"
    REPLIED = "replied"
    FAILED = "failed"
    UNCERTAIN = "uncertain"  # a crash hid the result; its reservation stays charged


class CallPurpose(StrEnum):
    """Why a model was called."""

    PROPOSE = "propose"  # the first answer to a prompt
    REPAIR = "repair"  # the second, with what was wrong with the first
    JUDGE = "judge"  # whether a child differs from its nearest variant
    NOTES = "notes"  # the statistics of the search in words
    EMBED = "embed"  # the vector of a program
    EPISODE = "episode"  # a step of an agent's work

    @property
    def writes_code(self) -> bool:
        """Whether the reply becomes a child of the proposal."""
        return self in (CallPurpose.PROPOSE, CallPurpose.REPAIR)


SEED = "seed"  # the operator of proposal 0
# the operator of a program that a person added, and the model of its stored reply
PERSON = "person"
# the event kind and the metric that name the flags of a candidate: signs of cheating
SIGNS = "signs"
# the event kind of a model that is asked differently from now on
ADAPTED = "adapted"


def derive_id(run_seed: int, number: int) -> str:
    """Return the id of a decision.

    It is derived, not random, so that a repeated run has the same ids.

    Args:
        run_seed: Seed of the run.
        number: Number of the decision; 0 is the seed proposal.

    Returns:
        16 lower-case letters and digits (base32).
    """
    digest = hashlib.blake2b(f"{run_seed}:{number}".encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()


@dataclass(frozen=True, slots=True)
class Proposal:
    """One decision and its result: a variant, once its tree passed the checks.

    A decision to evaluate its parent again (`Kind.EVALUATE`) makes no variant.

    Attributes:
        number: Number of the decision; 0 is the seed.
        parents: Ids, the first parent first.
        as_of_event: Id of the last event that the decision saw.
        created_at: Seconds since the epoch, like `finished_at`.
        tree: Hash of its files in git; None before the checks passed.
        commit: Hash of its commit.
        note: What the operator did, in one line.
        reason: Why it failed or was rejected, in one word; `message` is a sentence.
        log: The end of the candidate's output.
        novelty: Mean distance to the ten nearest variants before it.
        improvement: Over the best parent; negative if worse.
        quarantined: Whether its score is not trusted.
        finished_event: Id of the event that finished it: the order of finishing.
        model: The model chosen to answer.
        decision: Everything else that was decided, the prompt context included.
        measures: Numbers that describe the variant apart from its score.
        kind: Whether a child is made, or the parent evaluated again.
    """

    id: str
    number: int
    state: State
    operator: str
    parents: tuple[str, ...]
    as_of_event: int
    created_at: float
    tree: str | None = None
    commit: str | None = None
    note: str = ""
    reason: str | None = None
    message: str = ""
    log: str = ""
    kept: AddStatus | None = None
    novelty: float | None = None
    improvement: float | None = None
    quarantined: bool = False
    finished_at: float | None = None
    finished_event: int | None = None
    island: int = 0
    model: str | None = None
    decision: Decision = NOTHING_DECIDED
    measures: Mapping[str, float] = field(default_factory=dict)
    kind: Kind = Kind.EXPAND

    @property
    def is_variant(self) -> bool:
        """Whether it has a tree that passed the checks."""
        return self.tree is not None and self.state is not State.REJECTED

    @property
    def evaluates(self) -> CaseAttempt:
        """The attempt of a decision to evaluate; only those have one."""
        assert self.decision.evaluates is not None
        return self.decision.evaluates

    def in_short(self) -> "Proposal":
        """Return a copy without prompt context and measures, to save memory.

        Returns:
            The copy that a snapshot keeps.
        """
        if not self.measures and self.decision is NOTHING_DECIDED:
            return self
        return replace(self, decision=self.decision.in_short(), measures={})


@dataclass(frozen=True)
class Evaluation:
    """The result of the scorer for one variant, case and attempt.

    Attributes:
        split: "search", "select" or "heldout".
        attempt: From 0.
        score: None if the attempt failed.
        feedback: Text for the next prompt.
        log: The end of the candidate's output.
        reason: Why it failed, in one word; `message` is a sentence.
        seconds: Wall-clock time.
        cpu_s: CPU time.
        peak_memory_bytes: Of the candidate's processes.
        cost_usd: Cost of an agent's model calls.
        evaluator: Hash of the scorer's files.
    """

    case: str
    split: str
    attempt: int
    score: float | None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    feedback: str = ""
    log: str = ""
    reason: str | None = None
    message: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    cost_usd: float = 0.0
    evaluator: str = ""


class Observation(NamedTuple):
    """The part of an evaluation that the search uses."""

    case: str
    split: str
    attempt: int
    score: float | None
    reason: str | None


@dataclass(frozen=True)
class Reply:
    """A model's reply, stored before it is parsed.

    Attributes:
        text: The reply.
        finish_reason: As the server reports it, such as "length"; None if unknown.
    """

    text: str
    finish_reason: str | None = None


@dataclass(frozen=True)
class Call:
    """One request to a model, with its reservation and its reply."""

    id: int
    proposal: str
    purpose: CallPurpose
    attempt: int
    model: str
    request: str  # JSON
    state: CallState
    reserved_tokens: int
    reserved_usd: float
    reply: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    error: str | None = None
    seconds: float = 0.0
    # which one of its purpose: of notes their number, of an episode the step, of a
    # judgement 1 when the repair is judged; else 0
    step: int = 0

    @property
    def answer(self) -> Reply:
        """The reply; an empty one while there is none."""
        return Reply(self.reply or "", self.finish_reason)


@dataclass(frozen=True)
class CallCost:
    """Tokens and cost of a call, without its texts; zero where unknown."""

    proposal: str
    model: str
    tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Note:
    """A note on the search, written before a numbered decision.

    Attributes:
        number: Number of the decision; negated for a model's text on the notes of that
            number.
        text: The note.
        model: The model that wrote it; None for statistics.
    """

    number: int
    text: str
    model: str | None = None


@dataclass(frozen=True)
class Spend:
    """Spending of a run: settled calls, and reservations of calls that are not settled.

    Attributes:
        calls: Number of calls, in flight or finished.
        tokens: Tokens used, plus reserved tokens.
        usd: Dollars spent, plus reserved dollars.
        settled_usd: The cost of settled calls.
        uncertain_usd: The reservations of the other calls.
    """

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    settled_usd: float = 0.0
    uncertain_usd: float = 0.0

    def sent(self, call: Call) -> "Spend":
        """Return the sum with one more call in flight, charged at its maximum.

        Args:
            call: The call with its reservation.

        Returns:
            A new sum.
        """
        return self._reserving(call, 1)

    def taken_back(self, call: Call) -> "Spend":
        """Return the sum without a call that was never sent.

        Args:
            call: The call, as it was given to `sent`.

        Returns:
            A new sum.
        """
        return self._reserving(call, -1)

    def _reserving(self, call: Call, times: int) -> "Spend":
        return replace(
            self,
            calls=self.calls + times,
            tokens=self.tokens + times * call.reserved_tokens,
            usd=self.usd + times * call.reserved_usd,
            uncertain_usd=self.uncertain_usd + times * call.reserved_usd,
        )

    def ended(self, call: Call) -> "Spend":
        """Return the sum after a call in flight finished.

        Args:
            call: The call with its final state; an uncertain one stays charged.

        Returns:
            A new sum.
        """
        if call.state is CallState.UNCERTAIN:
            return self
        used = call.prompt_tokens + call.completion_tokens
        return replace(
            self,
            tokens=self.tokens + used - call.reserved_tokens,
            usd=self.usd + call.cost_usd - call.reserved_usd,
            settled_usd=self.settled_usd + call.cost_usd,
            uncertain_usd=self.uncertain_usd - call.reserved_usd,
        )


@dataclass(frozen=True)
class Event:
    """One entry of the event log; its id is the clock of the archive.

    Attributes:
        at: Seconds since the epoch.
    """

    id: int
    at: float
    kind: str
    proposal: str | None
    data: Mapping[str, Any]
