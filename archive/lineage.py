"""Queries on descent: path, ancestors, clade, and the contribution of each operator.

A path follows first parents; a clade is a proposal and all its descendants along first
parents.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import CTE, func, literal, select

from evolve.archive.database import in_batches
from evolve.archive.decision import Kind
from evolve.archive.reader import ArchiveReader
from evolve.archive.records import SEED, AddStatus, State
from evolve.archive.schema import p, parents, proposals


class Contribution(NamedTuple):
    """The results of one operator with one model.

    Attributes:
        model: None for operators without a model.
        made: Number of proposals.
        scored: Number of those that were scored.
        improved: Number of those that were better than all their parents.
        best: Number of those that were better than every variant before.
        gain: Sum of all improvements over the best parent.
    """

    operator: str
    model: str | None
    made: int
    scored: int
    improved: int
    best: int
    gain: float


class Lineage:
    """Queries on the descent of proposals in one archive.

    Args:
        archive: The archive to query.
    """

    def __init__(self, archive: ArchiveReader) -> None:
        self._archive = archive

    def path(self, proposal: str) -> list[str]:
        """Return the path from the founder to a proposal.

        Args:
            proposal: Id of the proposal.

        Returns:
            Ids, the founder first; empty for an unknown id.
        """
        above = _upwards([proposal])
        query = select(above.c.id).order_by(above.c.distance.desc())
        return [row.id for row in self._archive.rows(query)]

    def ancestors(self, found: Iterable[str]) -> set[str]:
        """Return all proposals on the paths to the given ones.

        Args:
            found: Ids of proposals.

        Returns:
            Ids, the given ones included.
        """
        known: set[str] = set()
        for ids in in_batches(found):
            above = _upwards(ids, distances=False)
            known |= {row.id for row in self._archive.rows(select(above.c.id))}
        return known

    def clade(self, proposal: str) -> list[str]:
        """Return a proposal and its descendants.

        Args:
            proposal: Id of the proposal.

        Returns:
            Ids in decision order.
        """
        below = (select(p.id).where(p.id == proposal)).cte("below", recursive=True)
        children = (
            select(parents.c.child)
            .join(below, parents.c.parent == below.c.id)
            .join(proposals, p.id == parents.c.child)
            .where(parents.c.position == 0, p.kind != Kind.EVALUATE)
        )
        below = below.union(children)
        query = select(p.id).join(below, below.c.id == p.id)
        return [row.id for row in self._archive.rows(query.order_by(p.number))]

    def contributions(self) -> list[Contribution]:
        """Return the results by operator and model.

        Returns:
            Largest gain first; without the seed and decisions to evaluate.
        """
        gain = func.coalesce(func.sum(p.improvement).filter(p.improvement > 0), 0.0)
        query = (
            select(
                p.operator,
                p.model,
                func.count().label("made"),
                func.count().filter(p.state == State.SCORED).label("scored"),
                func.count().filter(p.improvement > 0).label("improved"),
                func.count().filter(p.kept == AddStatus.BEST).label("best"),
                gain.label("gain"),
            )
            .where(p.operator != SEED, p.kind != Kind.EVALUATE)
            .group_by(p.operator, p.model)
        )
        found = [Contribution(*row) for row in self._archive.rows(query)]
        return sorted(found, key=lambda c: (-c.gain, c.operator, c.model or ""))


def _upwards(wanted: list[str], distances: bool = True) -> CTE:
    """Return a CTE with the ids on the paths to the founders.

    With distances, a shared ancestor appears once per distance.
    """
    distance = [literal(0).label("distance")] if distances else []
    above = (select(p.id, *distance).where(p.id.in_(wanted))).cte(
        "above", recursive=True
    )
    step = [above.c.distance + 1] if distances else []
    return above.union(
        select(parents.c.parent, *step)
        .join(above, parents.c.child == above.c.id)
        .where(parents.c.position == 0)
    )
