"""Frozen records of the archive: what a row is once it has left the database."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from evolve.archive.decision import NOTHING_DECIDED, CaseAttempt, Decision, Kind


class State(StrEnum):
    """How far a proposal has come. The last four are final."""

    PLANNED = "planned"
    REPLIED = "replied"
    PROPOSED = "proposed"
    EVALUATING = "evaluating"
    SCORED = "scored"
    FAILED = "failed"
    REJECTED = "rejected"
    EVALUATED = "evaluated"  # the end of a decision to evaluate: it makes no variant

    @property
    def finished(self) -> bool:
        return self in (State.SCORED, State.FAILED, State.REJECTED, State.EVALUATED)


class AddStatus(StrEnum):
    """What adding a scored variant meant, from least to most."""

    KEPT = "kept"  # one more node of the tree
    IMPROVED = "improved"  # better than every one of its parents
    BEST = "best"  # better than every variant before it


class CallState(StrEnum):
    """A model call: committed as `sent` before the request leaves."""

    SENT = "sent"
    REPLIED = "replied"
    FAILED = "failed"
    UNCERTAIN = "uncertain"  # a crash came between; its reservation stays charged


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
# the operator of a program that a person gave, and who answered for it
PERSON = "person"
# the kind of event, and the metric, that names what a candidate did to cheat
SIGNS = "signs"


def derive_id(run_seed: int, number: int) -> str:
    """The id of a decision: nothing random is kept, so a repeated run has the same ids."""
    digest = hashlib.blake2b(f"{run_seed}:{number}".encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()


@dataclass(frozen=True, slots=True)
class Proposal:
    """One decision, and what became of it: a variant, once its tree passed the checks.

    A decision to evaluate (`Kind.EVALUATE`) makes none: it learns more about its parent.
    """

    id: str
    number: int
    state: State
    operator: str
    parents: tuple[str, ...]
    as_of_event: int  # the last event of the archive that the decision saw
    created_at: float
    tree: str | None = None
    commit: str | None = None
    note: str = ""  # what the operator did, in a line
    reason: str | None = None  # why it failed or was rejected
    message: str = ""
    log: str = ""
    kept: AddStatus | None = None
    novelty: float | None = None
    improvement: float | None = None
    quarantined: bool = False
    finished_at: float | None = None
    finished_event: int | None = None  # the order in which proposals ended
    island: int = 0
    model: str | None = None  # who was chosen to answer
    decision: Decision = NOTHING_DECIDED
    # what it is, beside its score
    measures: Mapping[str, float] = field(default_factory=dict)
    kind: Kind = Kind.EXPAND

    @property
    def is_variant(self) -> bool:
        return self.tree is not None and self.state is not State.REJECTED

    @property
    def evaluates(self) -> CaseAttempt:
        """The attempt of a decision to evaluate; only those have one."""
        assert self.decision.evaluates is not None
        return self.decision.evaluates

    def in_short(self) -> Proposal:
        """Without evidence and measures, as a snapshot keeps it: it has many of them."""
        if not self.measures and self.decision is NOTHING_DECIDED:
            return self
        return replace(self, decision=self.decision.in_short(), measures={})


@dataclass(frozen=True)
class Evaluation:
    """One row: (variant, case, attempt) and what the scorer said."""

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
    evaluator: str = ""  # hash of the scorer's files


class Observation(NamedTuple):
    """The part of an evaluation that counts for the search."""

    case: str
    split: str
    attempt: int
    score: float | None
    reason: str | None


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


@dataclass(frozen=True)
class CallCost:
    """What a call used, without its texts; nothing where that is not known."""

    proposal: str
    model: str
    tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Note:
    """What was written down about the search when a numbered decision was due."""

    number: int  # negated: a model's words for the notes of that number
    text: str
    model: str | None = None  # None: from statistics


@dataclass(frozen=True)
class Spend:
    """What a run has used: settled calls, and reservations of calls that are not settled."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    settled_usd: float = 0.0
    uncertain_usd: float = 0.0

    def sent(self, call: Call) -> Spend:
        """With one more call on its way: all that it may cost is charged."""
        return replace(
            self,
            calls=self.calls + 1,
            tokens=self.tokens + call.reserved_tokens,
            usd=self.usd + call.reserved_usd,
            uncertain_usd=self.uncertain_usd + call.reserved_usd,
        )

    def taken_back(self, call: Call) -> Spend:
        """A call that was never sent after all."""
        return replace(
            self,
            calls=self.calls - 1,
            tokens=self.tokens - call.reserved_tokens,
            usd=self.usd - call.reserved_usd,
            uncertain_usd=self.uncertain_usd - call.reserved_usd,
        )

    def ended(self, call: Call) -> Spend:
        """A call that was on its way has ended; one whose fate is unknown stays charged."""
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
    """One thing that happened; the archive's own clock is the event's id."""

    id: int
    at: float
    kind: str
    proposal: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """A proposal as the tree shows it: with its score and its children's count."""

    proposal: Proposal
    score: float | None
    children: int
    cost_usd: float
