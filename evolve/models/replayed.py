"""Answers from another run's rows: nothing is sent and nothing is paid."""

from __future__ import annotations

import json
from collections.abc import Sequence

from evolve.archive import Call, CallPurpose, CallState, Proposal
from evolve.errors import RunError
from evolve.models.client import Messages
from evolve.models.embeddings import unpack_numbers
from evolve.models.episodes import Episode
from evolve.models.errors import ModelError, ModelFault
from evolve.models.protocol import Answer


class ReplayedModels:
    """Answers from another run's rows: nothing is sent and nothing is paid."""

    def __init__(self, calls: Sequence[Call]) -> None:
        replied = [call for call in calls if call.state is CallState.REPLIED]
        self._replies = {
            (call.proposal, call.purpose, call.step): call for call in replied
        }
        self._vectors: dict[str, list[Call]] = {}
        for call in replied:
            if call.purpose is CallPurpose.EMBED:
                self._vectors.setdefault(call.proposal, []).append(call)
        self._steps: dict[str, list[Call]] = {}
        for call in replied:
            if call.purpose is CallPurpose.EPISODE:
                self._steps.setdefault(call.proposal, []).append(call)
        self._refused = {
            (call.proposal, call.purpose, call.step): call.error or ""
            for call in calls
            if call.state is CallState.FAILED
        }

    async def embed(self, proposal: Proposal, text: str) -> list[float]:
        """The recorded vector of that text. Raises `RunError` when there is none."""
        for call in self._vectors.get(proposal.id, ()):
            if json.loads(call.request)["input"] == text:
                return unpack_numbers(call.reply or "")
        raise RunError(
            f"no vector is recorded for {proposal.id}", "resume the run first"
        )

    async def ask(
        self,
        proposal: Proposal,
        purpose: CallPurpose,
        messages: Messages,
        *,
        model: str | None = None,
        step: int = 0,
    ) -> Answer:
        """Return the recorded reply to that question. Raises `RunError` when there is none."""
        which = (proposal.id, purpose, step)
        call = self._replies.get(which)
        optional = purpose in (CallPurpose.REPAIR, CallPurpose.NOTES)
        if call is None and (optional or which in self._refused):
            # It was refused then, or there was no budget for a repair.
            raise ModelError(ModelFault.PROMPT, self._refused.get(which, "not asked"))
        if call is None:
            raise RunError(
                f"no reply is recorded for {proposal.id} ({purpose})",
                "the record is not of a finished run; resume it first",
            )
        return Answer(call.reply or "", call.finish_reason)

    async def stored_steps(
        self, proposal: Proposal, episode: Episode
    ) -> dict[int, Call]:
        """The recorded steps of an agent's episode."""
        return episode.steps(self._steps.get(proposal.id, ()))

    def step_bound(
        self, proposal: Proposal, messages: Messages, reply_tokens: int
    ) -> tuple[int, float]:
        """A recorded reply costs nothing."""
        return 0, 0.0

    async def step(
        self,
        proposal: Proposal,
        episode: Episode,
        number: int,
        messages: Messages,
        reply_tokens: int,
        temperature: float | None,
    ) -> Call:
        """Raises `RunError`: what is recorded was given already, and nobody else is asked."""
        raise RunError(
            f"no reply is recorded for step {number} of {episode.purpose} by {proposal.id}",
            "the agent asked for something else this time: its work is not repeatable",
        )
