"""What the engine asks of a model, live, replayed or forecast."""

from typing import Protocol

from evolve.archive import Call, CallPurpose, Proposal, Reply
from evolve.models.client import Messages
from evolve.models.episodes import Episode


class Models(Protocol):
    """Answers questions and embeds programs for proposals.

    Implementations: `BudgetedModels` (servers, within the run's budget), `ReplayedModels` (a
    recorded run), and the one of a dry run, which keeps the first question.
    """

    async def ask(
        self,
        proposal: Proposal,
        purpose: CallPurpose,
        messages: Messages,
        *,
        model: str | None = None,
        step: int = 0,
    ) -> Reply:
        """Return the stored reply to this question, else a new one.

        Args:
            proposal: that the call belongs to.
            purpose: why the model is asked.
            messages: the chat, oldest first.
            model: name of the model to ask; None for the proposal's own.
            step: which call of this purpose it is (see `Call.step`).

        Raises:
            OutOfBudget: the call does not fit into the budget; it was not made.
            ModelError: no reply, after retries.
            Overrun: the server charged more than was reserved.
        """

    async def embed(self, proposal: Proposal, text: str) -> list[float]:
        """Return the vector of a text, stored or new. Raises as `ask` does."""

    def prompt_room(self, proposal: Proposal) -> int | None:
        """Return the longest prompt that a proposal's model takes; None: not known."""
        return None

    async def stored_steps(
        self, proposal: Proposal, episode: Episode
    ) -> dict[int, Call]:
        """Return the stored replies of this episode, by step."""
        return {}

    def step_bound(
        self, proposal: Proposal, messages: Messages, reply_tokens: int
    ) -> tuple[int, float]:
        """Return the tokens and dollars that one more step can cost at most."""
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
        """Return a new reply to an agent. Raises as `ask` does."""
