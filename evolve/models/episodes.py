"""Steps of agents: what an episode asks of a model is a call like any other, found by its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evolve.archive import Call, CallPurpose
from evolve.models.client import Messages

PLACE = "episode"  # the key of a stored request that says where it belongs


class Episode(NamedTuple):
    """One agent's work: what for ("case NAME", "toy", "edit"), and which attempt at it."""

    purpose: str
    attempt: int

    def mark(self, request: Mapping[str, Any], step: int) -> dict[str, Any]:
        """The request with its place, as it is kept."""
        return {PLACE: [self.purpose, self.attempt, step], **request}

    def steps(self, calls: Iterable[Call]) -> dict[int, Call]:
        """The replies among these calls that belong to this episode, by step; the newest counts."""
        found = {}
        for call in calls:
            place = place_of(call)
            if place is not None and place[:2] == (self.purpose, self.attempt):
                found[place[2]] = call
        return found


def place_of(call: Call) -> tuple[str, int, int] | None:
    """(purpose, attempt, step) of an agent's call; None of another one."""
    if call.purpose is not CallPurpose.EPISODE:
        return None
    purpose, attempt, step = json.loads(call.request)[PLACE]
    return str(purpose), int(attempt), int(step)


def asked_the_same(call: Call, messages: Messages) -> bool:
    """Whether a stored call answers these messages."""
    return bool(json.loads(call.request)["messages"] == messages)
