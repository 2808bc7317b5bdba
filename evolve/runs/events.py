"""The one stream of what happens in a run: typed records, read from the archive's events.

Log, watch and web page read it. An event's id is the clock: whoever has seen one asks for what came
after it, whether the run is live or long over.

RunEvent
├── Began, Halted            the run itself
├── Planned, Moved, Finished one proposal
├── Asked                    a model call ended
├── Learned                  a decision to evaluate ended
├── Waited, Noted, Steered   the machine failed; notes were taken; a person stepped in
├── Signs                    an agent did what a person should look at
└── Other                    a kind that this version does not know
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evolve.archive import SIGNS, STEERED, ArchiveReader, Event, Proposal, State

AT_ONCE = 1000


@dataclass(frozen=True)
class RunEvent:
    """Something that happened; `id` orders all of them."""

    id: int
    at: float

    @property
    def kind(self) -> str:
        """One word, for programs."""
        return type(self).__name__.lower()

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"event": self.kind} | asdict(self)


@dataclass(frozen=True)
class Began(RunEvent):
    """An engine went to work."""

    sandbox: str


@dataclass(frozen=True)
class Halted(RunEvent):
    """It stopped, and why."""

    reason: str


@dataclass(frozen=True)
class Planned(RunEvent):
    """A decision was taken."""

    proposal: str
    number: int


@dataclass(frozen=True)
class Moved(RunEvent):
    """A proposal came as far as `state`."""

    proposal: str
    state: str


@dataclass(frozen=True)
class Asked(RunEvent):
    """A model call ended."""

    proposal: str
    state: str
    model: str
    cost_usd: float


@dataclass(frozen=True)
class Finished(RunEvent):
    """A proposal is scored, failed or rejected."""

    proposal: str
    number: int
    parents: tuple[str, ...]
    operator: str
    model: str | None
    state: str
    score: float | None
    improvement: float | None
    best: bool  # better than everything before it
    quarantined: bool
    reason: str | None
    message: str
    note: str


@dataclass(frozen=True)
class Learned(RunEvent):
    """One more evaluation of a scored variant."""

    decision: str


@dataclass(frozen=True)
class Waited(RunEvent):
    """The machine or a model failed; the run waits and tries again."""

    message: str


@dataclass(frozen=True)
class Noted(RunEvent):
    """Notes for later prompts were taken."""

    number: int
    text: str


@dataclass(frozen=True)
class Steered(RunEvent):
    """A person stepped in: a hint, a ban, a program."""

    verb: str
    proposal: str | None
    text: str


@dataclass(frozen=True)
class Signs(RunEvent):
    """An agent reached for what it must not have, as it seems."""

    variant: str
    signs: str


@dataclass(frozen=True)
class Other(RunEvent):
    """A kind that this version does not know."""

    name: str


def events_after(
    archive: ArchiveReader, event: int, limit: int = AT_ONCE, kinds: Sequence[str] = ()
) -> list[RunEvent]:
    """What happened after an event, the oldest first, at most `limit`; of some kinds or of all."""
    rows = archive.events_between(event, limit, kinds)
    ended = [row.proposal for row in rows if row.proposal and row.kind in ENDS]
    known = {proposal.id: proposal for proposal in archive.some(ended)} if ended else {}
    scores = archive.scores(wanted=ended) if ended else {}
    return [_typed(row, known, scores) for row in rows]


def follow(
    archive: ArchiveReader,
    event: int,
    over: Callable[[], bool],
    pause_s: float = 0.25,
    kinds: Sequence[str] = (),
) -> Iterator[Sequence[RunEvent]]:
    """What happens from here on, batch by batch; ends once `over` and everything was given."""
    while True:
        ending = over()  # asked first: what is written before it is still given
        found = events_after(archive, event, kinds=kinds)
        if found:
            event = found[-1].id
            yield found
        elif ending:
            return
        else:
            time.sleep(pause_s)


ENDS = (State.SCORED.value, State.FAILED.value, State.REJECTED.value)
_MOVES = (State.PROPOSED.value, State.EVALUATING.value)


def _typed(
    row: Event, known: Mapping[str, Proposal], scores: Mapping[str, float]
) -> RunEvent:
    data, proposal = row.data, row.proposal
    if proposal is None:
        return _of_the_run(row)
    if row.kind in ENDS and proposal in known:
        return _finished(row, known[proposal], scores.get(proposal))
    if row.kind == "planned":
        return Planned(row.id, row.at, proposal, int(data.get("number", 0)))
    if row.kind == "call":
        return Asked(
            row.id,
            row.at,
            proposal,
            str(data.get("state")),
            str(data.get("model")),
            float(data.get("cost_usd", 0.0)),
        )
    if row.kind == State.EVALUATED.value and "cases" not in data:
        return Learned(row.id, row.at, proposal)
    if row.kind == STEERED:
        return _steered(row)
    if row.kind in (*_MOVES, State.EVALUATED.value):
        return Moved(row.id, row.at, proposal, row.kind)
    return Other(row.id, row.at, row.kind)


def _of_the_run(row: Event) -> RunEvent:
    data = row.data
    if row.kind == "started":
        return Began(row.id, row.at, str(data.get("sandbox", "")))
    if row.kind == "stopped":
        return Halted(row.id, row.at, str(data.get("reason", "")))
    if row.kind == "waiting":
        return Waited(row.id, row.at, str(data.get("message", "")))
    if row.kind == "notes":
        return Noted(row.id, row.at, int(data["number"]), str(data["text"]))
    if row.kind == STEERED:
        return _steered(row)
    if row.kind == SIGNS:
        return Signs(row.id, row.at, str(data["variant"]), str(data["signs"]))
    return Other(row.id, row.at, row.kind)


def _steered(row: Event) -> Steered:
    return Steered(
        row.id,
        row.at,
        str(row.data.get("verb", "")),
        row.proposal,
        str(row.data.get("text", "")),
    )


def _finished(row: Event, proposal: Proposal, score: float | None) -> Finished:
    best = proposal.kept is not None and proposal.kept.value == "best"
    return Finished(
        row.id,
        row.at,
        proposal.id,
        proposal.number,
        proposal.parents,
        proposal.operator,
        proposal.model,
        row.kind,
        score,
        proposal.improvement,
        best,
        proposal.quarantined,
        proposal.reason,
        proposal.message,
        proposal.note,
    )
