"""When a run is over: numbers, time, a target, or no progress."""

from __future__ import annotations

import time

from evolve.archive import Snapshot
from evolve.config import Settings

REJECTIONS_IN_A_ROW = 300  # then the operators have nothing new to offer


class Stopping:
    """Says why nothing new is begun. All but the time follows from what is recorded."""

    def __init__(self, settings: Settings, rejections: int) -> None:
        """`rejections`: how many of the last results, without a break, were rejected."""
        self._settings, self.rejections = settings, rejections
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since this invocation began."""
        return time.monotonic() - self._started

    def room_for(self, variants: int) -> bool:
        """Whether so many variants, pending ones included, leave room for one more."""
        most = self._settings.max_variants
        return most is None or variants < most

    def at_most(self, count: int, variants: int) -> int:
        """How many of `count` children may be begun, one at least, beside so many variants."""
        most = self._settings.max_variants
        return count if most is None else max(1, min(count, most - variants))

    def reached(self, variants: int, snapshot: Snapshot) -> str | None:
        """Which limit; None to go on."""
        settings = self._settings
        if not self.room_for(variants):
            return f"max_variants = {settings.max_variants} is reached"
        if self.rejections >= REJECTIONS_IN_A_ROW:
            return f"the last {self.rejections} proposals were rejected"
        if settings.max_time_s is not None and self.seconds > settings.max_time_s:
            return f"max_time_s = {settings.max_time_s:g} is reached"
        return self._target(snapshot) or self._plateau(snapshot)

    def _target(self, snapshot: Snapshot) -> str | None:
        best, target = snapshot.best(), self._settings.target
        if target is None or best is None:
            return None
        if snapshot.value_of(best.id) >= target * snapshot.sign:
            return f"target = {target:g} is reached"
        return None

    def _plateau(self, snapshot: Snapshot) -> str | None:
        patience, since = self._settings.plateau, snapshot.since_best()
        if patience is not None and since >= patience:
            return f"plateau: the last {since} scored variants were no better than the best"
        return None
