"""Which variants a tree shows: the best, a path, a part by filters; and always the way to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.archive import Browser, Node, Variant
from evolve.runs.reader import OpenRun

SHOWN_WHOLE, SHOWN_OF_MANY = 100, 30


@dataclass(frozen=True)
class Selection:
    """Which part of the tree: the best N, the way to one, so many generations; and filters."""

    top: int | None = None
    path: str | None = None
    depth: int | None = None
    since_s: float | None = None  # made in the last so many seconds of the run
    islands: tuple[int, ...] = ()
    statuses: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    @property
    def filters(self) -> bool:
        """Whether some are shown by what they are."""
        return (
            bool(self.islands or self.statuses or self.operators)
            or self.since_s is not None
        )


@dataclass(frozen=True)
class Chosen:
    """What is shown; `meant` are those that were asked for, the others are on their way."""

    variants: Sequence[Variant]
    meant: frozenset[str]


def choose(run: OpenRun, selection: Selection) -> Chosen:
    """What to show; with each one all its ancestors."""
    if selection.path is not None:
        path = run.lineage.path(run.proposal(selection.path).id)
        return Chosen(run.archive.variants_of(path), frozenset(path))
    if selection.filters:
        found = _filtered(run, selection)
        return Chosen(
            run.archive.variants_of(run.lineage.ancestors(found)), frozenset(found)
        )
    if selection.top is None and run.count <= SHOWN_WHOLE:
        return Chosen(run.variants, frozenset(v.proposal.id for v in run.variants))
    best = [ranked.id for ranked in run.best(selection.top or SHOWN_OF_MANY)]
    return Chosen(run.archive.variants_of(run.lineage.ancestors(best)), frozenset(best))


def _filtered(run: OpenRun, selection: Selection) -> list[str]:
    """The best of those that fit, as many as `top` says."""
    nodes = [n for n in Browser(run.archive).nodes() if n.number > 0]
    newest = max((node.created_at for node in nodes), default=0.0)
    fitting = [node for node in nodes if _fits(node, selection, newest)]
    if selection.top is not None:
        sign = -1.0 if run.task.spec.maximize else 1.0
        fitting.sort(key=lambda n: (n.score is None, sign * (n.score or 0.0), n.number))
        fitting = fitting[: selection.top]
    return [node.id for node in fitting]


def _fits(node: Node, selection: Selection, newest: float) -> bool:
    words = {
        node.state,
        node.reason,
        node.kept,
        "quarantined" if node.quarantined else None,
    }
    return (
        (not selection.islands or node.island in selection.islands)
        and (not selection.operators or node.operator in selection.operators)
        and (not selection.statuses or not words.isdisjoint(selection.statuses))
        and (selection.since_s is None or node.created_at >= newest - selection.since_s)
    )
