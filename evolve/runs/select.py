"""Selection of variants for a tree: the best, a path, or by filters; with all ancestors."""

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.archive import Variant
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
        return Chosen(run.browser.variants(path), frozenset(path))
    if selection.filters:
        variants = [v for v in run.browser.variants() if v.number > 0]
        newest = max((variant.created_at for variant in variants), default=0.0)
        fitting = [variant for variant in variants if _fits(variant, selection, newest)]
        if selection.top is not None:
            fitting.sort(
                key=lambda v: (v.score is None, run.sign * (v.score or 0.0), v.number)
            )
        found = fitting[: selection.top]
    elif selection.top is None and run.count <= SHOWN_WHOLE:
        return Chosen(run.variants, frozenset(v.id for v in run.variants))
    else:
        found = run.best(selection.top or SHOWN_OF_MANY)
    meant = frozenset(variant.id for variant in found)
    return Chosen(run.browser.variants(run.lineage.ancestors(meant)), meant)


def _fits(variant: Variant, selection: Selection, newest: float) -> bool:
    words = {
        variant.state,
        variant.reason,
        variant.kept,
        "quarantined" if variant.quarantined else None,
    }
    return (
        (not selection.islands or variant.island in selection.islands)
        and (not selection.operators or variant.operator in selection.operators)
        and (not selection.statuses or not words.isdisjoint(selection.statuses))
        and (
            selection.since_s is None
            or variant.created_at >= newest - selection.since_s
        )
    )
