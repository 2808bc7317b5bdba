"""Steps of agents: calls like any other, found by their place in an episode."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evolve.archive import Call, CallPurpose
from evolve.models.client import Messages

PLACE = "episode"  # key in a stored request: purpose, attempt and step


class Episode(NamedTuple):
    """One agent's work on one task.

    Attributes:
        purpose: "case NAME", "toy" or "edit"
        attempt: number of the attempt, from 0
    """

    purpose: str
    attempt: int

    def mark(self, request: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Return a request with its place, as it is stored.

        Args:
            request: body of the request
            step: number of the step

        Returns:
            A copy with the key `PLACE`.
        """
        return {PLACE: [self.purpose, self.attempt, step], **request}

    def steps(self, calls: Iterable[Call]) -> dict[int, Call]:
        """Select the calls of this episode.

        Args:
            calls: calls with replies, in the order of their ids

        Returns:
            Step number -> newest call.
        """
        found = {}
        for call in calls:
            place = place_of(call)
            if place is not None and place[:2] == (self.purpose, self.attempt):
                found[place[2]] = call
        return found


def place_of(call: Call) -> tuple[str, int, int] | None:
    """Return the place of an agent's call.

    Args:
        call: any call

    Returns:
        (purpose, attempt, step); None if the call is not a step of an agent.
    """
    if call.purpose is not CallPurpose.EPISODE:
        return None
    purpose, attempt, step = json.loads(call.request)[PLACE]
    return str(purpose), int(attempt), int(step)


def asked_the_same(call: Call, messages: Messages) -> bool:
    """Return whether a stored call answers these messages.

    Args:
        call: a step of an agent
        messages: the chat

    Returns:
        True if the stored messages are equal.
    """
    return bool(json.loads(call.request)["messages"] == messages)
