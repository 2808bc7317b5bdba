"""When a run stops: number of variants, time, a target, or no progress."""

import math
import time

from evolve.archive import Snapshot
from evolve.config import Settings

REJECTIONS_IN_A_ROW = 300  # after these, the operators have nothing new to offer


class Stopping:
    """The criteria for stopping; all except time depend only on recorded results.

    Args:
        settings: Limits of the run.
        rejections: Number of consecutive rejections at the end of the record.
    """

    def __init__(self, settings: Settings, rejections: int) -> None:
        self._settings, self.rejections = settings, rejections
        self._started = time.monotonic()
        self._beyond = 0

    @property
    def seconds(self) -> float:
        """Time since the start of this process's part of the run, in seconds."""
        return time.monotonic() - self._started

    def _below(self, beyond: int, variants: int) -> bool:
        most = self._settings.max_variants
        return most is None or variants < most + beyond

    def make_room(self, programs: int, variants: int) -> None:
        """Let a person's programs be finished beyond `max_variants`; nothing else is decided.

        Args:
            programs: Number of programs that a person added.
            variants: Number of scored and failed variants.
        """
        most = self._settings.max_variants
        if most is not None and programs:
            self._beyond = max(0, variants + programs - most)

    def room_for(self, variants: int) -> bool:
        """Return whether `max_variants` permits one more.

        Args:
            variants: Number of scored, failed and pending variants.

        Returns:
            Whether one more may be started; always True without `max_variants`.
        """
        return self._below(self._beyond, variants)

    def at_most(self, count: int, variants: int) -> int:
        """Return how many children of a decision may be started.

        Args:
            count: Number of children that the decision asks for.
            variants: Number of scored, failed and pending variants.

        Returns:
            1 to `count`, within `max_variants`.
        """
        most = self._settings.max_variants
        return count if most is None else max(1, min(count, most - variants))

    def reached(self, variants: int, snapshot: Snapshot) -> str | None:
        """Return the first criterion that is met.

        Args:
            variants: Number of scored and failed variants.
            snapshot: The scored variants.

        Returns:
            The reason to stop; None to go on.
        """
        settings = self._settings
        if not self._below(0, variants):
            return f"max_variants = {settings.max_variants} is reached"
        if self.rejections >= REJECTIONS_IN_A_ROW:
            return f"the last {self.rejections} proposals were rejected"
        if settings.max_time_s is not None and self.seconds > settings.max_time_s:
            return f"max_time_s = {settings.max_time_s:g} is reached"
        best, target = snapshot.best(), settings.target
        value = snapshot.value_of(best.id) if best else -math.inf
        if target is not None and value >= target * snapshot.sign:
            return f"target = {target:g} is reached"
        since = snapshot.since_best()
        if settings.plateau is not None and since >= settings.plateau:
            return f"plateau: the last {since} scored variants were no better than the best"
        return None
