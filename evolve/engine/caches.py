"""Scored variants as a decision knew them, and the vector of each candidate, made once."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evolve.archive import (
    Evaluation,
    Proposal,
    Snapshot,
    TimedEvaluation,
    Vector,
    rows_as_of,
)
from evolve.models import Embedder, TokenEmbedder
from evolve.operators import Parent

AT_HAND = 512


class Held(NamedTuple):
    """A variant's files, and its rows with the events that added them."""

    files: Mapping[str, bytes]
    rows: Sequence[TimedEvaluation]


class Parents:
    """Keeps at hand what the latest parents need. Used from one event loop."""

    def __init__(
        self, snapshot: Snapshot, read: Callable[[str], Awaitable[Held]]
    ) -> None:
        """`read` asks the archive."""
        self._snapshot, self._read = snapshot, read
        self._held: dict[str, Held] = {}
        self._learned = 0  # how often something was

    async def known(self, variant: str, event: int) -> Parent:
        """A scored variant by the rows that a decision knew which saw the archive up to this event."""
        held = self._held.get(variant)
        if held is None:
            before = self._learned
            held = _for_prompts(await self._read(variant))
            if self._learned == before:  # else it may be from before that
                self._keep(variant, held)
        rows = rows_as_of(event, held.rows)
        return Parent(
            self._snapshot.proposal(variant),
            held.files,
            self._snapshot.score_by(rows),
            rows,
        )

    def scored(
        self, variant: str, files: Mapping[str, bytes], rows: Sequence[Evaluation]
    ) -> None:
        """A variant is new; its children come soon."""
        self._keep(
            variant,
            _for_prompts(
                Held(files, [TimedEvaluation(0, _as_stored(row)) for row in rows])
            ),
        )

    def learned(self, variant: str) -> None:
        """More is being written of it: what is at hand is out of date."""
        self._held.pop(variant, None)
        self._learned += 1

    def _keep(self, variant: str, held: Held) -> None:
        while len(self._held) >= AT_HAND:
            del self._held[next(iter(self._held))]  # the oldest
        self._held[variant] = held


def _for_prompts(held: Held) -> Held:
    """Without what no prompt may show: failures, and other splits."""
    return held._replace(
        rows=[
            learned
            for learned in held.rows
            if learned.row.reason is None and learned.row.split == "search"
        ]
    )


def _as_stored(row: Evaluation) -> Evaluation:
    """As it is read back: tuples are lists there, and a resumed run asks in the same words."""
    return replace(row, metrics=json.loads(json.dumps(dict(row.metrics))))


class Near(NamedTuple):
    """A variant, and how far its code is by cosine."""

    proposal: str
    distance: float


class Vectors:
    """Asks the run's embedder, and remembers what is not scored yet."""

    def __init__(self) -> None:
        self.embedder: Embedder = TokenEmbedder()
        self._made: dict[str, tuple[Mapping[str, bytes], Vector]] = {}

    async def of(self, proposal: Proposal, files: Mapping[str, bytes]) -> Vector:
        """The vector of these files, which a proposal has made."""
        known = self._made.get(proposal.id)
        if known is not None and known[0] == files:
            return known[1]
        vector = await self.embedder.vector(proposal, files)
        self._made[proposal.id] = files, vector
        return vector

    async def nearest(
        self,
        snapshot: Snapshot,
        proposal: Proposal,
        files: Mapping[str, bytes],
        settled: int | None,
    ) -> Near | None:
        """The scored variant whose code is the nearest; of those that the decision could see."""
        vector = await self.of(proposal, files)
        known = (
            len(snapshot)
            if settled is None
            else bisect_right(
                snapshot.proposals, settled, key=lambda scored: scored.number
            )
        )
        found = snapshot.space.nearest(vector, 1, known)
        if not len(found.rows):
            return None
        return Near(
            snapshot.proposals[int(found.rows[0])].id, float(found.distances[0])
        )

    def forget(self, proposal_id: str) -> None:
        """It has ended."""
        self._made.pop(proposal_id, None)
