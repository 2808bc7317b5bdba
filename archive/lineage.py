"""Who comes from whom, as queries: path, clade, depth, common ancestor, and what each operator gave.

A path follows first parents; a clade is everything below, along first parents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import CTE, Select, func, literal, select

from evolve.archive.database import IDS_AT_ONCE
from evolve.archive.decision import Kind
from evolve.archive.reader import ArchiveReader
from evolve.archive.records import SEED, AddStatus, State
from evolve.archive.schema import parents, proposals


class Contribution(NamedTuple):
    """What an operator and a model brought; the model is None for operators without one."""

    operator: str
    model: str | None
    made: int
    scored: int
    improved: int  # better than all their parents
    best: int  # better than every variant before
    gain: float  # the sum of all improvements


class Lineage:
    """Questions to one archive about descent."""

    def __init__(self, archive: ArchiveReader) -> None:
        self._archive = archive

    def path(self, proposal: str) -> list[str]:
        """From its founder to a proposal."""
        rows = self._archive.rows(_ordered(_upwards([proposal])))
        return [row.id for row in rows]

    def ancestors(self, found: Iterable[str]) -> set[str]:
        """Everything on the paths to some proposals, themselves included."""
        wanted = list(found)
        known: set[str] = set()
        for start in range(0, len(wanted), IDS_AT_ONCE):
            above = _upwards(wanted[start : start + IDS_AT_ONCE], distances=False)
            known |= {row.id for row in self._archive.rows(select(above.c.id))}
        return known

    def clade(self, proposal: str) -> list[str]:
        """A proposal and everything below it, in the order of the decisions."""
        below = (select(proposals.c.id).where(proposals.c.id == proposal)).cte(
            "below", recursive=True
        )
        children = (
            select(parents.c.child)
            .join(below, parents.c.parent == below.c.id)
            .join(proposals, proposals.c.id == parents.c.child)
            .where(parents.c.position == 0, proposals.c.kind != Kind.EVALUATE.value)
        )
        below = below.union(children)
        query = select(proposals.c.id).join(below, below.c.id == proposals.c.id)
        return [
            row.id for row in self._archive.rows(query.order_by(proposals.c.number))
        ]

    def contributions(self) -> list[Contribution]:
        """By operator and model, the largest gain first."""
        p = proposals.c
        gain = func.coalesce(func.sum(p.improvement).filter(p.improvement > 0), 0.0)
        query = (
            select(
                p.operator,
                p.model,
                func.count().label("made"),
                func.count().filter(p.state == State.SCORED.value).label("scored"),
                func.count().filter(p.improvement > 0).label("improved"),
                func.count().filter(p.kept == AddStatus.BEST.value).label("best"),
                gain.label("gain"),
            )
            .where(p.operator != SEED, p.kind != Kind.EVALUATE.value)
            .group_by(p.operator, p.model)
        )
        found = [Contribution(*row) for row in self._archive.rows(query)]
        return sorted(found, key=lambda c: (-c.gain, c.operator, c.model or ""))


def _upwards(wanted: list[str], distances: bool = True) -> CTE:
    """Ids on the way to the founders. With distances a shared ancestor comes once for each of them."""
    distance = [literal(0).label("distance")] if distances else []
    above = (select(proposals.c.id, *distance).where(proposals.c.id.in_(wanted))).cte(
        "above", recursive=True
    )
    step = [above.c.distance + 1] if distances else []
    return above.union(
        select(parents.c.parent, *step)
        .join(above, parents.c.child == above.c.id)
        .where(parents.c.position == 0)
    )


def _ordered(above: CTE) -> Select[Any]:
    return select(above.c.id).order_by(above.c.distance.desc())
