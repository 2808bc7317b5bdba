"""Steps of agents: calls like any other, found by their place in an episode."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from evolve.archive import EPISODE, Call, Proposal
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
    if call.round >= EPISODE:
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


class StepAsker(Protocol):
    """Answers the steps of agents: a caller within its budget, or a record."""

    async def stored_steps(
        self, proposal: Proposal, episode: Episode
    ) -> dict[int, Call]:
        """Return the stored replies of an episode, from before a restart.

        Args:
            proposal: the agent
            episode: purpose and attempt

        Returns:
            Step number -> call.
        """

    def step_bound(
        self, proposal: Proposal, messages: Messages, reply_tokens: int
    ) -> tuple[int, float]:
        """Return the most that a reply to these messages can use.

        Args:
            proposal: the agent
            messages: the chat
            reply_tokens: limit of the reply

        Returns:
            Tokens of prompt and reply, and dollars.
        """

    async def step(
        self,
        proposal: Proposal,
        episode: Episode,
        number: int,
        messages: Messages,
        reply_tokens: int,
        temperature: float | None,
    ) -> Call:
        """Ask for one step.

        Args:
            proposal: the agent
            episode: purpose and attempt
            number: of the step, from 0
            messages: the chat
            reply_tokens: limit of the reply
            temperature: None for the run's schedule

        Returns:
            The settled call with its reply.

        Raises:
            OutOfBudget: the call does not fit into the budget
            ModelError: no reply after all retries
            Overrun: the server charged more than was reserved
        """
