"""The archive as a tree of text: score, improvement, operator, cost.

Unimportant variants are folded: of a long chain without branches only those that became
the best are shown.
"""

from typing import NamedTuple

from rich.text import Text
from rich.tree import Tree

from evolve.archive import AddStatus, Variant
from evolve.peers.shared import EVALUATOR_SHARED
from evolve.runs.reader import OpenRun
from evolve.runs.select import Chosen, Selection, choose
from evolve.view.columns import View, columns_of
from evolve.view.terminal.console import WholeTree

__all__ = ["Selection", "render_tree"]
FOLDED_FROM = 3  # shortest chain that is folded


class _Step(NamedTuple):
    """The next variant to draw, its branch, and whether it is an only child."""

    variant: Variant
    branch: Tree
    depth: int
    only: bool  # only child of the line above it, which is not indented


def render_tree(run: OpenRun, selection: Selection) -> Tree:
    """Render variants below their first parents; the path to the best is bold.

    Args:
        run: the open run
        selection: variants to show

    Returns:
        The tree.
    """
    chosen = choose(run, selection)
    leader = run.leader
    best_path = set(run.lineage.path(leader.id)) if leader else set()
    hidden = run.count - len(chosen.variants)
    title = f"{run.folder.name} · {run.folder.task_name} · {run.count} variants"
    root = WholeTree(Text(title + (f", {hidden} not shown" if hidden > 0 else "")))
    found: dict[str, list[Variant]] = {}
    for variant in chosen.variants:
        found.setdefault(variant.parent or "", []).append(variant)
    below = found
    fold = selection.path is None
    waiting = [
        _Step(variant, root, 0, False) for variant in reversed(below.get("", []))
    ]
    while waiting:
        step = waiting.pop()
        if selection.depth is not None and step.depth > selection.depth:
            continue
        step = _folded(step, below, chosen) if fold and step.only else step
        name = step.variant.id
        label = _label(step, name in best_path, name in chosen.meant)
        if run.shares_evaluator and step.variant.score is not None:
            label.append(f"  {EVALUATOR_SHARED}", style="yellow")
        if run.through_transport and step.variant.score is not None:
            label.append(f"  {run.through_transport}", style="yellow")
        if name in run.signs:
            label.append("  signs: evolve audit", style="red")
        branch = step.branch.add(label)
        kids = below.get(name, [])
        only = len(kids) == 1 and step.depth > 0
        waiting += [
            _Step(kid, step.branch if only else branch, step.depth + 1, only)
            for kid in reversed(kids)
        ]
    return root


def _folded(step: _Step, below: dict[str, list[Variant]], chosen: Chosen) -> _Step:
    """Skip a chain of unselected variants with one child each, none of them a best."""
    passed, now = 0, step.variant
    while (
        now.id not in chosen.meant
        and now.kept != AddStatus.BEST
        and len(below.get(now.id, [])) == 1
    ):
        passed, now = passed + 1, below[now.id][0]
    if passed < FOLDED_FROM:
        return step
    step.branch.add(Text(f"⋮ {passed} generations", style="dim"))
    return step._replace(variant=now, depth=step.depth + passed)


def _label(step: _Step, on_best_path: bool, meant: bool) -> Text:
    line = Text(
        "↳ " if step.only else "",
        style="bold" if on_best_path else "" if meant else "dim",
    )
    gap = ""
    for column in columns_of(View.LINE):
        if text := column.text(step.variant):
            line.append(gap + text, style=column.style(column.value(step.variant)))
            gap = "  "
    return line
