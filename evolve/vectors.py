"""Vectors of candidates between the gate and the record: each is made once."""

from __future__ import annotations

from collections.abc import Mapping

from archive import Proposal, Vector
from evolve.llm import Embedder, TokenEmbedder


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

    def forget(self, proposal_id: str) -> None:
        """It has ended."""
        self._made.pop(proposal_id, None)
