"""Replies from the rows of another run: nothing is sent or paid."""

import json
from collections import defaultdict
from collections.abc import Sequence

from evolve.archive import Call, CallPurpose, CallState, Proposal, Reply
from evolve.errors import RunError
from evolve.models.client import Messages
from evolve.models.embeddings import unpack_numbers
from evolve.models.episodes import Episode
from evolve.models.errors import ModelError, ModelFault
from evolve.models.protocol import Models


class ReplayedModels(Models):
    """Models that answer from recorded calls; they send and pay nothing.

    Args:
        calls: all calls of a finished run
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        replied = [call for call in calls if call.state is CallState.REPLIED]
        self._replies = {
            (call.proposal, call.purpose, call.step): call for call in replied
        }
        self._replied = defaultdict[tuple[str, CallPurpose], list[Call]](list)
        for call in replied:
            self._replied[call.proposal, call.purpose].append(call)
        self._refused = {
            (call.proposal, call.purpose, call.step): call.error or ""
            for call in calls
            if call.state is CallState.FAILED
        }

    async def embed(self, proposal: Proposal, text: str) -> list[float]:
        """Return the recorded vector of a text.

        Args:
            proposal: the proposal that the call belonged to
            text: the text that was embedded

        Returns:
            The vector.

        Raises:
            RunError: no such call is recorded
        """
        for call in self._replied[proposal.id, CallPurpose.EMBED]:
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
    ) -> Reply:
        """Return the recorded reply to this question.

        Args:
            proposal: the proposal
            purpose: why the model was asked
            messages: unused
            model: unused
            step: which call of this purpose

        Returns:
            The reply.

        Raises:
            ModelError: the call was refused then, or there was no budget for a repair
            RunError: no such call is recorded
        """
        which = (proposal.id, purpose, step)
        call = self._replies.get(which)
        optional = purpose in (CallPurpose.REPAIR, CallPurpose.NOTES)
        if call is None and (optional or which in self._refused):
            # It was refused then, or there was no budget for a repair.
            raise ModelError(ModelFault.PROMPT, self._refused.get(which, "not asked"))
        if call is None:
            raise RunError(
                f"no reply is recorded for {proposal.id} ({purpose})",
                "the recorded run is not finished; resume it first",
            )
        return call.answer

    async def stored_steps(
        self, proposal: Proposal, episode: Episode
    ) -> dict[int, Call]:
        """Return the recorded steps of an agent's episode.

        Args:
            proposal: the agent
            episode: purpose and attempt

        Returns:
            Step number -> call.
        """
        return episode.steps(self._replied[proposal.id, CallPurpose.EPISODE])

    async def step(
        self,
        proposal: Proposal,
        episode: Episode,
        number: int,
        messages: Messages,
        reply_tokens: int,
        temperature: float | None,
    ) -> Call:
        """Raise an error: all recorded steps were already used, and no model is asked.

        Args:
            proposal: the agent
            episode: purpose and attempt
            number: of the step
            messages: unused
            reply_tokens: unused
            temperature: unused

        Raises:
            RunError: always
        """
        raise RunError(
            f"no reply is recorded for step {number} of {episode.purpose} by {proposal.id}",
            "the agent sent other messages than in the record: it is not repeatable",
        )
