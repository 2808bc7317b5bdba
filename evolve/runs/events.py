"""The event stream of a run: typed records, read from the events of the archive.

The log, `evolve watch` and the web page read it. Ids of events increase with time: a reader
asks for the events after the last id that it has seen, in a live or a finished run.

RunEvent
├── Began, Halted            the run started or stopped
├── Planned, Moved, Finished progress of one proposal
├── Asked                    a model call ended
├── Learned                  a further evaluation of a scored variant
├── Waited, Noted, Steered   a retry; notes were taken; a person changed the run
├── Adapted                  a model is asked differently from now on
├── Signs                    an agent did something that a person should review
└── Other                    a kind that this version does not know
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evolve.archive import (
    ADAPTED,
    SIGNS,
    STEERED,
    AddStatus,
    ArchiveReader,
    Event,
    Proposal,
    State,
)

AT_ONCE = 1000  # events per query


@dataclass(frozen=True)
class RunEvent:
    """An event of a run.

    Attributes:
        id: Increases with time, over all events of the run.
        at: Seconds since the epoch.
    """

    id: int
    at: float

    @property
    def kind(self) -> str:
        """Name of the kind in one word, for programs."""
        return type(self).__name__.lower()

    def data(self) -> dict[str, Any]:
        """Return the event as JSON data.

        Returns:
            `event` (the kind) and all attributes.
        """
        return {"event": self.kind} | asdict(self)


@dataclass(frozen=True)
class Began(RunEvent):
    """An engine started or resumed the run."""

    sandbox: str


@dataclass(frozen=True)
class Halted(RunEvent):
    """The engine stopped, for a reason."""

    reason: str


@dataclass(frozen=True)
class Planned(RunEvent):
    """A decision was made."""

    proposal: str
    number: int


@dataclass(frozen=True)
class Moved(RunEvent):
    """A proposal reached `state`."""

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
    """A proposal was scored, failed or was rejected.

    Attributes:
        proposal: Its id.
        number: Its decision number.
        parents: Ids of its parents; empty for the seed.
        operator: Name of the operator.
        model: Name of the model; None if the decision named none.
        state: `scored`, `failed` or `rejected`.
        score: Mean over the search cases; None if it has none.
        improvement: Difference to the better parent, positive: better; None without a
            score.
        best: Whether it was better than all variants before it.
        quarantined: Whether its score is not believed.
        reason: Reason of a failure or rejection, for programs.
        message: The same for people.
        note: The operator's one line on the change.
    """

    proposal: str
    number: int
    parents: tuple[str, ...]
    operator: str
    model: str | None
    state: str
    score: float | None
    improvement: float | None
    best: bool
    quarantined: bool
    reason: str | None
    message: str
    note: str


@dataclass(frozen=True)
class Learned(RunEvent):
    """A scored variant was evaluated once more."""

    decision: str


@dataclass(frozen=True)
class Waited(RunEvent):
    """The machine or a model failed; the run retries after a pause."""

    message: str


@dataclass(frozen=True)
class Adapted(RunEvent):
    """A model is asked differently from now on, because its server refused a request."""

    message: str


@dataclass(frozen=True)
class Noted(RunEvent):
    """Notes for later prompts were taken."""

    number: int
    text: str


@dataclass(frozen=True)
class Steered(RunEvent):
    """A person changed the run by a hint, a ban or a program."""

    verb: str
    proposal: str | None
    text: str


@dataclass(frozen=True)
class Signs(RunEvent):
    """An agent seems to have tried to use something forbidden."""

    variant: str
    signs: str


@dataclass(frozen=True)
class Other(RunEvent):
    """An event of a kind that this version does not know."""

    name: str


def events_after(
    archive: ArchiveReader, event: int, kinds: Sequence[str] = ()
) -> list[RunEvent]:
    """Return the first events after a given one.

    Args:
        archive: The archive of the run.
        event: Id of an event; 0: from the beginning.
        kinds: Stored kinds to return; empty: all.

    Returns:
        Oldest first.
    """
    rows = archive.events(event, AT_ONCE, kinds)
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
    """Follow the events of a run; blocks while there are no new ones.

    Args:
        archive: The archive of the run.
        event: Id of an event; 0: from the beginning.
        over: Returns whether the run is over.
        pause_s: Pause between two queries, in seconds.
        kinds: Stored kinds to return; empty: all.

    Yields:
        Batches of events, oldest first; ends when the run is over and all its events were
        yielded.
    """
    while True:
        ending = over()  # before the query, which then includes the last events
        found = events_after(archive, event, kinds=kinds)
        if found:
            event = found[-1].id
            yield found
        if len(found) == AT_ONCE:
            continue
        if ending:
            return
        time.sleep(pause_s)


ENDS = (State.SCORED.value, State.FAILED.value, State.REJECTED.value)
# Kind of an event of the run itself -> its record, and the data that it holds.
_OF_THE_RUN: Mapping[str, tuple[Any, ...]] = {
    "started": (Began, "sandbox"),
    "stopped": (Halted, "reason"),
    "waiting": (Waited, "message"),
    ADAPTED: (Adapted, "message"),
    "notes": (Noted, "number", "text"),
    SIGNS: (Signs, "variant", "signs"),
}


def _typed(
    row: Event, known: Mapping[str, Proposal], scores: Mapping[str, float]
) -> RunEvent:
    data, proposal, kind = row.data, row.proposal, row.kind
    place = (row.id, row.at)
    if kind == STEERED:
        return Steered(*place, data["verb"], proposal, data["text"])
    if proposal is None:
        made, *keys = _OF_THE_RUN.get(kind, (Other,))
        return (
            made(*place, *(data.get(key, "") for key in keys))
            if keys
            else Other(*place, kind)
        )
    if proposal in known and kind in ENDS:
        return _finished(row, known[proposal], scores.get(proposal))
    if kind == "planned":
        return Planned(*place, proposal, data["number"])
    if kind == "call":
        return Asked(*place, proposal, data["state"], data["model"], data["cost_usd"])
    if kind == State.EVALUATED and "cases" not in data:
        return Learned(*place, proposal)
    if kind in (State.PROPOSED, State.EVALUATING, State.EVALUATED):
        return Moved(*place, proposal, kind)
    return Other(*place, kind)


def _finished(row: Event, proposal: Proposal, score: float | None) -> Finished:
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
        proposal.kept is AddStatus.BEST,
        proposal.quarantined,
        proposal.reason,
        proposal.message,
        proposal.note,
    )
