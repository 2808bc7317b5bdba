"""Who a variant's page names: its parents, children and the way to it; asked for, or all at hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from evolve.archive import Browser, Node, State
from evolve.runs.reader import OpenRun


class Relatives(Protocol):
    """Nodes by what they are to each other."""

    def nodes(self, wanted: Iterable[str]) -> list[Node]: ...

    def children(self, parent: str) -> list[Node]: ...

    def path(self, variant: str) -> Sequence[str]: ...


class QueriedLineage:
    """By queries: for one page."""

    def __init__(self, run: OpenRun) -> None:
        self._run, self._browser = run, Browser(run.archive)

    def nodes(self, wanted: Iterable[str]) -> list[Node]:
        return self._browser.nodes(wanted)

    def children(self, parent: str) -> list[Node]:
        return self._browser.children(parent)

    def path(self, variant: str) -> Sequence[str]:
        return self._run.lineage.path(variant)


class PreloadedLineage:
    """From all nodes, read once: for the pages of a whole run. Children are those of first parents."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._known = {node.id: node for node in nodes}
        self._below: dict[str, list[Node]] = {}
        for node in nodes:
            if node.parent is not None and node.state != State.REJECTED.value:
                self._below.setdefault(node.parent, []).append(node)

    def nodes(self, wanted: Iterable[str]) -> list[Node]:
        found = [self._known[name] for name in wanted if name in self._known]
        return sorted(found, key=lambda node: node.number)

    def children(self, parent: str) -> list[Node]:
        return self._below.get(parent, [])

    def path(self, variant: str) -> Sequence[str]:
        found, now = [variant], self._known[variant].parent
        while now is not None and now in self._known:
            found.append(now)
            now = self._known[now].parent
        return found[::-1]
