"""Relatives of a variant for its page: parents, children and path from the seed.

They are queried, or taken from all variants in memory.
"""

from collections.abc import Iterable, Sequence

from evolve.archive import State, Variant
from evolve.runs.reader import OpenRun


class Relatives:
    """Relatives by queries, for one page.

    Args:
        run: the open run
    """

    def __init__(self, run: OpenRun) -> None:
        self._run = run

    def variants(self, wanted: Iterable[str]) -> list[Variant]:
        """Query the variants with the ids `wanted`, in decision order."""
        return self._run.browser.variants(wanted)

    def children(self, parent: str) -> list[Variant]:
        """Query the proposals that have `parent` among their parents, first or not."""
        return self._run.browser.children(parent)

    def path(self, variant: str) -> Sequence[str]:
        """Query the path of first parents, the seed first; empty for an unknown id."""
        return self._run.lineage.path(variant)


class PreloadedLineage(Relatives):
    """Relatives from all variants, read once, for the pages of a whole run.

    Children are those of first parents.

    Args:
        variants: all variants of the run
    """

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._known = {variant.id: variant for variant in variants}
        self._below: dict[str, list[Variant]] = {}
        for variant in variants:
            if variant.parent is not None and variant.state != State.REJECTED.value:
                self._below.setdefault(variant.parent, []).append(variant)

    def variants(self, wanted: Iterable[str]) -> list[Variant]:
        """Look up the variants with the ids `wanted`; return them in decision order."""
        found = [self._known[name] for name in wanted if name in self._known]
        return sorted(found, key=lambda variant: variant.number)

    def children(self, parent: str) -> list[Variant]:
        """Return the proposals with `parent` as first parent, without rejected ones."""
        return self._below.get(parent, [])

    def path(self, variant: str) -> Sequence[str]:
        """Follow the first parents of a known variant; return the path, the seed first."""
        found, now = [variant], self._known[variant].parent
        while now is not None and now in self._known:
            found.append(now)
            now = self._known[now].parent
        return found[::-1]
