"""Caches: scored variants as of a decision, and the vectors of unfinished candidates."""

import json
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from evolve.archive import (
    Evaluation,
    Files,
    Proposal,
    Snapshot,
    TimedEvaluation,
    Vector,
    rows_as_of,
)
from evolve.models import Embedder, TokenEmbedder
from evolve.operators import Parent

AT_HAND = 512  # variants in the cache of parents


class Held(NamedTuple):
    """A variant with its data in the cache.

    Attributes:
        files: Path -> content.
        rows: Evaluations, each with the event that added it.
    """

    files: Files
    rows: Sequence[TimedEvaluation]


class Parents:
    """A cache of the latest scored variants. Used from one event loop.

    Args:
        snapshot: The snapshot of the run, which has the proposals and their scores.
        read: Reads a variant's files and rows from the archive.
    """

    def __init__(
        self, snapshot: Snapshot, read: Callable[[str], Awaitable[Held]]
    ) -> None:
        self._snapshot, self._read = snapshot, read
        self._held: dict[str, Held] = {}
        self._learned = 0  # number of invalidations

    async def known(self, variant: str, event: int) -> Parent:
        """Return a scored variant as of an event.

        Args:
            variant: Id of the variant.
            event: The last event that the decision saw.

        Returns:
            The variant with the rows that were added up to this event, and its score
            by them.
        """
        held = self._held.get(variant)
        if held is None:
            before = self._learned
            held = _for_prompts(await self._read(variant))
            if self._learned == before:  # else the rows may be out of date
                self._keep(variant, held)
        rows = rows_as_of(event, held.rows)
        return Parent(
            self._snapshot.proposal(variant),
            held.files,
            self._snapshot.score_by(rows),
            rows,
        )

    def scored(self, variant: str, files: Files, rows: Sequence[Evaluation]) -> None:
        """Cache a variant that was just scored: its children follow soon.

        Args:
            variant: Id of the variant.
            files: Path -> content.
            rows: All its evaluations.
        """
        self._keep(
            variant,
            _for_prompts(
                Held(
                    files,
                    [
                        TimedEvaluation(
                            0,
                            replace(
                                row, metrics=json.loads(json.dumps(dict(row.metrics)))
                            ),
                        )
                        for row in rows
                    ],
                )
            ),
        )

    def learned(self, variant: str) -> None:
        """Drop a cached variant because further rows of it are being written."""
        self._held.pop(variant, None)
        self._learned += 1

    def _keep(self, variant: str, held: Held) -> None:
        while len(self._held) >= AT_HAND:
            del self._held[next(iter(self._held))]  # the oldest entry
        self._held[variant] = held


def _for_prompts(held: Held) -> Held:
    """Drop rows that no prompt may show: failures, and rows of other splits."""
    return held._replace(
        rows=[
            learned
            for learned in held.rows
            if learned.row.reason is None and learned.row.split == "search"
        ]
    )


class Near(NamedTuple):
    """The nearest variant of a candidate.

    Attributes:
        proposal: Id of the variant.
        distance: Cosine distance of their code, 0 to 2.
    """

    proposal: str
    distance: float


class Vectors:
    """Vectors of candidates from the run's embedder, cached until a proposal is finished."""

    def __init__(self) -> None:
        self.embedder: Embedder = TokenEmbedder()
        self._made: dict[str, tuple[Files, Vector]] = {}

    async def of(self, proposal: Proposal, files: Files) -> Vector:
        """Return the vector of a child's files; the embedder is asked once per child.

        Args:
            proposal: The proposal that produced the files.
            files: Path -> content.

        Returns:
            The vector; its length depends on the embedder.
        """
        known = self._made.get(proposal.id)
        if known is not None and known[0] == files:
            return known[1]
        vector = await self.embedder.vector(proposal, files)
        self._made[proposal.id] = files, vector
        return vector

    async def nearest(
        self, snapshot: Snapshot, proposal: Proposal, files: Files, settled: int | None
    ) -> Near | None:
        """Return the scored variant with the nearest code.

        Args:
            snapshot: The scored variants and their vectors.
            proposal: The proposal that produced the files.
            files: Path -> content.
            settled: Search variants up to this decision number only, those that the
                decision could see; None: search all.

        Returns:
            The variant and its distance; None if there is none to compare with.
        """
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
        """Drop the cached vector of a finished proposal."""
        self._made.pop(proposal_id, None)
