"""Vectors of candidates between the gate and the record: each is made once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

from archive import Proposal, Snapshot, Vector
from evolve.llm import Embedder, TokenEmbedder


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

    async def nearest(self, snapshot: Snapshot, proposal: Proposal, files: Mapping[str, bytes],
                      settled: int | None) -> Near | None:
        """The scored variant whose code is the nearest; of those that the decision could see."""
        vector = await self.of(proposal, files)
        known = len(snapshot) if settled is None else bisect_right(
            snapshot.proposals, settled, key=lambda scored: scored.number)
        found = snapshot.space.nearest(vector, 1, known)
        if not len(found.rows):
            return None
        return Near(snapshot.proposals[int(found.rows[0])].id, float(found.distances[0]))

    def forget(self, proposal_id: str) -> None:
        """It has ended."""
        self._made.pop(proposal_id, None)
