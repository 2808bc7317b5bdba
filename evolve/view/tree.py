"""The archive as a tree of text: score, change against the parent, operator, cost."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from rich.tree import Tree

from archive import Variant
from evolve.evaluation import SHARED
from evolve.view.console import number
from evolve.view.reading import OpenRun

SHOWN_WHOLE, SHOWN_OF_MANY = 100, 30


@dataclass(frozen=True)
class Selection:
    """Which part of the tree: the best N, the way to one, so many generations."""

    top: int | None = None
    path: str | None = None
    depth: int | None = None


def render_tree(run: OpenRun, selection: Selection) -> Tree:
    """Variants below their first parents; the way to the best is bold."""
    shown = _chosen(run, selection)
    best = run.best(1)
    best_path = set(run.lineage.path(best[0].id)) if best else set()
    hidden = run.count - len(shown)
    title = f"{run.folder.name} · {run.folder.task_name} · {run.count} variants"
    root = Tree(Text(title + (f", {hidden} not shown" if hidden else "")))
    places: dict[str, tuple[Tree, int]] = {}
    for variant in shown:
        proposal = variant.proposal
        place, depth = places.get(proposal.parents[0], (root, -1)) if proposal.parents else (root, -1)
        if selection.depth is not None and depth + 1 > selection.depth:
            continue
        label = _label(variant, proposal.id in best_path)
        if run.shares_evaluator and variant.score is not None:
            label.append(f"  {SHARED}", style="yellow")
        places[proposal.id] = (place.add(label), depth + 1)
    return root


def _chosen(run: OpenRun, selection: Selection) -> list[Variant]:
    """What to show; with each one all its ancestors."""
    if selection.path is not None:
        return run.archive.variants_of(run.lineage.path(run.proposal(selection.path).id))
    if selection.top is None and run.count <= SHOWN_WHOLE:
        return run.variants
    best = [ranked.id for ranked in run.best(selection.top or SHOWN_OF_MANY)]
    return run.archive.variants_of(run.lineage.ancestors(best))


def _label(variant: Variant, on_best_path: bool) -> Text:
    proposal = variant.proposal
    line = Text(proposal.id[:8], style="bold" if on_best_path else "")
    if variant.score is None:
        line.append(f"  {proposal.reason or proposal.state}", style="dim")
    else:
        line.append(f"  {number(variant.score)}")
    if proposal.improvement is not None:
        good = proposal.improvement > 0
        line.append(f"  {proposal.improvement:+.6g}", style="green" if good else "dim")
    line.append(f"  {proposal.operator}", style="dim")
    if variant.cost_usd:
        line.append(f"  ${variant.cost_usd:.4f}", style="dim")
    if proposal.quarantined:
        line.append("  quarantined: above the proved bound", style="red")
    return line
