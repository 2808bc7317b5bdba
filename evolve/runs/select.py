"""Selection of variants for a tree: the best, a path, or by filters; with all ancestors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.archive import Browser, Node, Variant
from evolve.runs.reader import OpenRun

# show all variants up to the first number, else as many of the best as the second
SHOWN_WHOLE, SHOWN_OF_MANY = 100, 30


@dataclass(frozen=True)
class Selection:
    """Criteria for a part of the tree.

    Attributes:
        top: Maximum number of variants, best first; None: by the size of the run.
        path: Show only the path from the seed to this proposal.
        depth: Maximum number of generations; None: all.
        since_s: Select variants that were decided in the last N seconds of the run.
        islands: Select these islands; empty: all.
        statuses: Select these states, reasons, add statuses, or `quarantined`; empty: all.
        operators: Select these operators; empty: all.
    """

    top: int | None = None
    path: str | None = None
    depth: int | None = None
    since_s: float | None = None
    islands: tuple[int, ...] = ()
    statuses: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    @property
    def filters(self) -> bool:
        """Whether any filter is set."""
        return (
            bool(self.islands or self.statuses or self.operators)
            or self.since_s is not None
        )


@dataclass(frozen=True)
class Chosen:
    """The variants to show.

    Attributes:
        variants: The selected variants and all their ancestors.
        meant: Ids of the selected ones.
    """

    variants: Sequence[Variant]
    meant: frozenset[str]


def choose(run: OpenRun, selection: Selection) -> Chosen:
    """Select the variants to show.

    Args:
        run: The run.
        selection: The criteria; the view applies `depth`.

    Returns:
        The selected variants with their ancestors.

    Raises:
        NotFound: There is no proposal `selection.path`.
    """
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
    """Return the ids of the variants that pass the filters, the best `top` of them."""
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
