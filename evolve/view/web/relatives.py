"""Relatives of a variant for its page: parents, children and path from the seed.

They are queried, or taken from all nodes in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from evolve.archive import Browser, Node, State
from evolve.runs.reader import OpenRun


class Relatives(Protocol):
    """Nodes by their relation to others."""

    def nodes(self, wanted: Iterable[str]) -> list[Node]:
        """Return the nodes with the ids `wanted` in decision order; unknown ids are omitted."""

    def children(self, parent: str) -> list[Node]:
        """Return the children of a variant in decision order."""

    def path(self, variant: str) -> Sequence[str]:
        """Return the ids on the path of first parents, from the seed to `variant`."""


class QueriedLineage:
    """Relatives by queries, for one page.

    Args:
        run: the open run
    """

    def __init__(self, run: OpenRun) -> None:
        self._run, self._browser = run, Browser(run.archive)

    def nodes(self, wanted: Iterable[str]) -> list[Node]:
        """Query the nodes with the ids `wanted`, in decision order."""
        return self._browser.nodes(wanted)

    def children(self, parent: str) -> list[Node]:
        """Query the proposals that have `parent` among their parents, first or not."""
        return self._browser.children(parent)

    def path(self, variant: str) -> Sequence[str]:
        """Query the path of first parents, the seed first; empty for an unknown id."""
        return self._run.lineage.path(variant)


class PreloadedLineage:
    """Relatives from all nodes, read once, for the pages of a whole run.

    Children are those of first parents.

    Args:
        nodes: all nodes of the run
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._known = {node.id: node for node in nodes}
        self._below: dict[str, list[Node]] = {}
        for node in nodes:
            if node.parent is not None and node.state != State.REJECTED.value:
                self._below.setdefault(node.parent, []).append(node)

    def nodes(self, wanted: Iterable[str]) -> list[Node]:
        """Look up the nodes with the ids `wanted`; return them in decision order."""
        found = [self._known[name] for name in wanted if name in self._known]
        return sorted(found, key=lambda node: node.number)

    def children(self, parent: str) -> list[Node]:
        """Return the proposals with `parent` as first parent, without rejected ones."""
        return self._below.get(parent, [])

    def path(self, variant: str) -> Sequence[str]:
        """Follow the first parents of a known variant; return the path, the seed first."""
        found, now = [variant], self._known[variant].parent
        while now is not None and now in self._known:
            found.append(now)
            now = self._known[now].parent
        return found[::-1]
