"""`evolve run --dry-run`: the first prompt and the cost of a run; nothing is sent or kept."""

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.archive import Call, CallPurpose, Proposal, Reply
from evolve.config import Resolved
from evolve.engine.control import Interrupt
from evolve.errors import RunError, UsageError
from evolve.models import (
    Episode,
    Models,
    OutOfBudget,
    counter_for,
    parse_model,
    price_of,
)
from evolve.operators.listing import what_is_shown
from evolve.runs.build import ask_servers, check_prompts
from evolve.runs.launch import QuietView, RunControl, start_run
from evolve.tasks import Task

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Forecast:
    """The first question to a model, and its cost with replies of maximum length.

    Attributes:
        operator: The operator that asks.
        messages: The chat, oldest first.
        prompt_tokens: Number of tokens of `messages`.
        call_usd: Maximum cost of a call: the longest prompt, the most expensive model.
        about_usd: Cost of `max_variants` calls like this one; None without that limit, and
            for agents, whose number of calls is not known.
        run_usd: Maximum cost of the run, which is its budget; None without a budget.
        shown: Which parts of the program the prompt shows; empty if it shows all.
    """

    operator: str
    messages: Messages
    prompt_tokens: int
    call_usd: float
    about_usd: float | None
    run_usd: float | None
    shown: str = ""

    @property
    def text(self) -> str:
        """The chat as text: each message below its role in brackets."""
        return "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in self.messages)


class FirstQuestion(Models):
    """A client of models that keeps the first question and raises `OutOfBudget`.

    Args:
        room: The longest prompt that the models take, in tokens; None: not known.

    Attributes:
        asked: The first question: its proposal and the chat; None: none yet.
    """

    def __init__(self, room: int | None = None) -> None:
        self.asked: tuple[Proposal, Messages] | None = None
        self._room = room

    def prompt_room(self, proposal: Proposal) -> int | None:
        """Return the longest prompt that the models of the run take."""
        return self._room

    async def embed(self, proposal: Proposal, text: str) -> list[float]:
        """Raise `OutOfBudget`: a dry run sends nothing."""
        raise OutOfBudget("nothing is sent in a dry run")

    async def ask(
        self,
        proposal: Proposal,
        purpose: CallPurpose,
        messages: Messages,
        *,
        model: str | None = None,
        step: int = 0,
    ) -> Reply:
        """Keep the first question and raise `OutOfBudget`."""
        self.asked = self.asked or (proposal, messages)
        raise OutOfBudget("nothing is sent in a dry run")

    async def step(
        self,
        proposal: Proposal,
        episode: Episode,
        number: int,
        messages: Messages,
        reply_tokens: int,
        temperature: float | None,
    ) -> Call:
        """Keep the first question of an agent and raise `OutOfBudget`."""
        self.asked = self.asked or (proposal, messages)
        raise OutOfBudget("nothing is sent in a dry run")


async def dry_run(
    task: Task, resolved: Resolved, note: Callable[[str], None]
) -> Forecast:
    """Score the seed, make the first decision, and stop at the first question.

    Args:
        task: The task.
        resolved: The settings and their origins.
        note: Called with messages for people.

    Returns:
        The first question and its cost.

    Raises:
        UsageError: The settings name no model, or the run ended before it asked one.
        RunError: The run failed before it asked a model.
        EvolveError: The run can't start.
    """
    if not resolved.settings.model:
        raise UsageError(
            "a dry run shows the first prompt, so it needs a model",
            "give one: --model NAME",
        )
    check_prompts(task, resolved.settings)
    listening = FirstQuestion(await ask_servers(resolved.settings, note))
    with tempfile.TemporaryDirectory(prefix="evolve-dry-run-") as folder:
        settings = resolved.settings.model_copy(
            update={"runs_dir": Path(folder), "embedding": None}
        )
        try:
            await start_run(
                task,
                dataclasses.replace(resolved, settings=settings),
                RunControl(QuietView(note), Interrupt()),
                models=listening,
            )
        except RunError:
            # if there is a question, the seed of an agent task asked it without an answer
            if listening.asked is None:
                raise
    if listening.asked is None:
        raise UsageError(
            "the run ended before it asked a model", "check its operators and limits"
        )
    proposal, messages = listening.asked
    prompt = counter_for(resolved.settings.model)(
        "\n".join(m["content"] for m in messages)
    )
    names = [parse_model(text) for text in resolved.settings.model]
    prices = [
        price_of(name, resolved.settings.price, resolved.settings.price_per_second)
        for name in names
    ]

    def most_expensive(tokens: int) -> float:
        return max(
            price.bound(
                tokens, resolved.settings.reply_tokens, resolved.settings.call_timeout_s
            )
            for price in prices
        )

    most = None if task.spec.agent is not None else resolved.settings.max_variants
    return Forecast(
        proposal.operator,
        messages,
        prompt,
        most_expensive(max(prompt, resolved.settings.prompt_tokens)),
        None if most is None else most * most_expensive(prompt),
        resolved.settings.budget_usd,
        what_is_shown("\n".join(message["content"] for message in messages)),
    )


def as_data(forecast: Forecast) -> dict[str, Any]:
    """Return a forecast as JSON data, for `--json`."""
    return dataclasses.asdict(forecast)
