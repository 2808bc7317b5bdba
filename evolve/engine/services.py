"""What the parts of a run share: built once in `evolve.runs.build`, handed to all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from evolve.archive import Proposal, Snapshot
from evolve.config import Settings
from evolve.engine.control import Interrupt, SteeringHandler
from evolve.engine.ordering import Order
from evolve.engine.progress import Listener
from evolve.engine.recorder import Recorder
from evolve.models import Models
from evolve.operators.templates import Prompts
from evolve.tasks import AgentTask, EpisodeResult, Task

RunEpisode = Callable[
    [Proposal, int, Mapping[str, bytes], AgentTask], Awaitable[EpisodeResult]
]
"""(proposal, attempt, agent, task) -> what the agent left behind. Retries faults of the machine."""


class Notes(Protocol):
    """Takes notes about the search when they are due."""

    async def take(self, number: int, snapshot: Snapshot) -> None:
        """Before decision `number`: take notes if they are due."""

    async def finish(self) -> None:
        """Wait for what was asked of a model: it is paid for."""


@dataclass(frozen=True)
class Services:
    """What everybody in a run is given.

    Attributes:
        task: what is evolved, and how it is scored.
        settings: of the run.
        recorder: the only writer.
        models: answers for the models, or their record.
        prompts: templates of the task, the user and the engine.
        ordering: in which order results count.
    """

    task: Task
    settings: Settings
    recorder: Recorder
    models: Models
    prompts: Prompts
    ordering: Order


@dataclass(frozen=True)
class Control:
    """The people's side of a run: who watches it, and how it is stopped and steered."""

    listener: Listener
    interrupt: Interrupt
    steering: SteeringHandler | None = None
    notes: Notes | None = None
