"""Services that the parts of a run share; `evolve.runs.build` creates them once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from evolve.archive import Files, Proposal, Snapshot
from evolve.config import Settings
from evolve.engine.control import Interrupt, SteeringHandler
from evolve.engine.ordering import Order
from evolve.engine.progress import Listener
from evolve.engine.recorder import Recorder
from evolve.models import Models
from evolve.operators.templates import Prompts
from evolve.tasks import AgentTask, EpisodeResult, Task

RunEpisode = Callable[[Proposal, int, Files, AgentTask], Awaitable[EpisodeResult]]
"""(proposal, attempt, agent, task) -> result of the episode; retries faults of the machine."""


class Notes(Protocol):
    """A writer of notes about the search."""

    async def take(self, number: int, snapshot: Snapshot) -> None:
        """Take notes before decision `number` if they are due."""

    async def finish(self) -> None:
        """Wait for a model call in flight, which is paid for."""


@dataclass(frozen=True)
class Services:
    """The services that all parts of a run share.

    Attributes:
        task: The evolved program, and how it is scored.
        settings: Settings of the run.
        recorder: The only writer of the run.
        models: Client of the models, or their recorded replies.
        prompts: Templates of the task, the user and the engine.
        ordering: The order in which results are recorded.
    """

    task: Task
    settings: Settings
    recorder: Recorder
    models: Models
    prompts: Prompts
    ordering: Order


@dataclass(frozen=True)
class Control:
    """The interfaces between a run and people.

    Attributes:
        listener: Observer of the run.
        interrupt: Request to stop.
        steering: Handler of messages from people; None: messages are ignored.
        notes: Writer of notes about the search; None: no notes.
    """

    listener: Listener
    interrupt: Interrupt
    steering: SteeringHandler | None = None
    notes: Notes | None = None
