"""What a look at held-out inputs has shown: an event of the run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evolve.archive import Event
from evolve.timing.decision import Finding

CONFIRMED = "confirmed"  # kind of the event


@dataclass(frozen=True)
class Confirmation:
    """What a look at the held-out inputs has shown.

    Attributes:
        variant: Id of the best variant.
        look: Number of the look, from 1.
        finding: Its speed against the seed's; of a task that is not timed, the
            differences of scores in place of ratios.
        timed: Whether the task is timed.
    """

    variant: str
    look: int
    finding: Finding
    timed: bool = True

    def as_data(self) -> dict[str, Any]:
        """Return it as the data of an event."""
        return asdict(self)

    def in_words(self) -> str:
        """Return it as the last line of a run."""
        found = self.finding
        if not found.blocks:
            return f"the best variant fails on held-out inputs (look {self.look})"
        if self.timed:
            size, what = f"{found.ratio:.3f} x", "pairs of processes, new inputs"
            ends = f"{found.low:.3f} to {found.high:.3f}"
        else:
            size, what = f"{found.ratio:+.4g}", "pairs of held-out evaluations"
            ends = f"{found.low:+.4g} to {found.high:+.4g}"
        ends = f"({ends}; {found.blocks} {what}, look {self.look})"
        if not found.sure:
            return f"no improvement that is sure: {size} {ends}"
        better = "faster" if self.timed else "better"
        return f"{size} {better} than the seed {ends}"


def read_confirmation(events: Sequence[Event]) -> Confirmation | None:
    """Return the last confirmation of a run.

    Args:
        events: Events of the run.

    Returns:
        None if there is none.
    """
    found = [event.data for event in events if event.kind == CONFIRMED]
    return confirmation_of(found[-1]) if found else None


def confirmation_of(data: Mapping[str, Any]) -> Confirmation:
    """Read the data of an event.

    Args:
        data: As `Confirmation.as_data` returns it.

    Returns:
        The confirmation.
    """
    return Confirmation(
        data["variant"],
        data["look"],
        Finding(**data["finding"]),
        data.get("timed", True),
    )
