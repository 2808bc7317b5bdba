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
        finding: Its speed against the seed's.
    """

    variant: str
    look: int
    finding: Finding

    def as_data(self) -> dict[str, Any]:
        """Return it as the data of an event."""
        return asdict(self)

    def in_words(self) -> str:
        """Return it as the last line of a run."""
        found = self.finding
        ends = (
            f"({found.low:.3f} to {found.high:.3f}; {found.blocks} pairs of processes, "
            f"new inputs, look {self.look})"
        )
        if found.sure:
            return f"{found.ratio:.3f} x faster than the seed {ends}"
        return f"no improvement that is sure: {found.ratio:.3f} x {ends}"


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
    return Confirmation(data["variant"], data["look"], Finding(**data["finding"]))
