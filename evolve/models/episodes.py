"""Steps of agents: what an episode asks of a model is a call like any other, found by its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from evolve.archive import EPISODE, Call, Proposal
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
    if call.round >= EPISODE:
        return None
    purpose, attempt, step = json.loads(call.request)[PLACE]
    return str(purpose), int(attempt), int(step)


def asked_the_same(call: Call, messages: Messages) -> bool:
    """Whether a stored call answers these messages."""
    return bool(json.loads(call.request)["messages"] == messages)


class StepAsker(Protocol):
    """Who answers agents: a caller within its budget, or a record."""

    async def stored_steps(
        self, proposal: Proposal, episode: Episode
    ) -> dict[int, Call]:
        """Replies of an earlier life of this episode, by step."""

    def step_bound(
        self, proposal: Proposal, messages: Messages, reply_tokens: int
    ) -> tuple[int, float]:
        """Tokens and dollars that a reply can't exceed."""

    async def step(
        self,
        proposal: Proposal,
        episode: Episode,
        number: int,
        messages: Messages,
        reply_tokens: int,
        temperature: float | None,
    ) -> Call:
        """A new reply. Raises `OutOfBudget`, `ModelError` (after retries), `Overrun`."""
