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
        """Query the path of nearest parents, the seed first."""
        return self._run.path(variant)

    def gain(self, before: Variant | None, now: Variant) -> float | None:
        """Return how much better a variant is than another; None without two scores."""
        if before is None or before.score is None or now.score is None:
            return None
        return self._run.sign * (before.score - now.score)


class PreloadedLineage(Relatives):
    """Relatives from all variants, read once, for the pages of a whole run.

    Children are those of first parents.

    Args:
        run: the open run
        variants: all variants of the run
    """

    def __init__(self, run: OpenRun, variants: Sequence[Variant]) -> None:
        super().__init__(run)
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
        """Follow the nearest parents of a known variant; return the path, the seed first."""
        found = []
        now: str | None = variant
        while now is not None and now in self._known:
            found.append(now)
            now = self._run.nearest_parent(now, self._known[now].parents)
        return found[::-1]
