"""Scored variants as a decision knew them, however late its prompt is written.

Meanwhile more may have been learned of a variant: whether a prompt showed it would depend on who was
faster, and a run could not be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from archive import Evaluation, Learned, Snapshot, known_at
from evolve.operators import Parent

AT_HAND = 512


class Held(NamedTuple):
    """A variant's files, and its rows with the events that added them."""

    files: Mapping[str, bytes]
    rows: Sequence[Learned]


class Parents:
    """Keeps at hand what the latest parents need. Used from one event loop."""

    def __init__(self, snapshot: Snapshot, read: Callable[[str], Awaitable[Held]]) -> None:
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
        rows = known_at(event, held.rows)
        return Parent(self._snapshot.proposal(variant), held.files, self._snapshot.score_by(rows), rows)

    def scored(self, variant: str, files: Mapping[str, bytes], rows: Sequence[Evaluation]) -> None:
        """A variant is new; its children come soon."""
        self._keep(variant, _for_prompts(Held(files, [Learned(0, _as_stored(row)) for row in rows])))

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
    return held._replace(rows=[learned for learned in held.rows
                               if learned.row.reason is None and learned.row.split == "search"])


def _as_stored(row: Evaluation) -> Evaluation:
    """As it is read back: tuples are lists there, and a resumed run asks in the same words."""
    return replace(row, metrics=json.loads(json.dumps(dict(row.metrics))))
