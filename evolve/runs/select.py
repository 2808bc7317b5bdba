"""Which variants a tree shows: the best, a path, a part by filters; and always the way to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.archive import Variant
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
    """Choose what to show; each variant comes with all its ancestors.

    Args:
        run: the open run
        selection: variants to show

    Returns:
        The variants, in the order of the decisions.
    """
    if selection.path is not None:
        path = run.lineage.path(run.proposal(selection.path).id)
        return Chosen(run.browser.variants(path), frozenset(path))
    if selection.filters:
        found = _filtered(run, selection)
    elif selection.top is None and run.count <= SHOWN_WHOLE:
        return Chosen(run.variants, frozenset(v.id for v in run.variants))
    else:
        found = run.best(selection.top or SHOWN_OF_MANY)
    meant = frozenset(variant.id for variant in found)
    return Chosen(run.browser.variants(run.lineage.ancestors(meant)), meant)


def _filtered(run: OpenRun, selection: Selection) -> list[Variant]:
    """Return the best of those that fit, at most `top`."""
    variants = [v for v in run.browser.variants() if v.number > 0]
    newest = max((variant.created_at for variant in variants), default=0.0)
    fitting = [variant for variant in variants if _fits(variant, selection, newest)]
    if selection.top is not None:
        fitting.sort(
            key=lambda v: (v.score is None, run.sign * (v.score or 0.0), v.number)
        )
    return fitting[: selection.top]


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
