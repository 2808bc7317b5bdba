"""An agent's task and the result of its episode."""

from dataclasses import dataclass, field

from evolve.archive import Files


@dataclass(frozen=True)
class AgentTask:
    """A problem statement and the workspace that it refers to.

    Attributes:
        statement: text for the agent
        files: the workspace, path -> content
    """

    statement: str
    files: Files


@dataclass(frozen=True)
class EpisodeUsage:
    """Resources that one episode has used, counted against its limits.

    Attributes:
        steps: model calls
        tokens: of prompts and replies together
        usd: cost of the model calls in dollars
        seconds: the agent's own running time, without waiting for the model
    """

    steps: int = 0
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class EpisodeResult:
    """The outcome of an episode. Like all output of an agent it is a claim, not a fact.

    Attributes:
        files: the workspace after the episode, path -> content
        reason: why the episode failed; None if it did not
        message: details for `reason`
        log: output of the agent
        used: resources used
        signs: flags, each an attempt to reach something forbidden
    """

    files: Files = field(default_factory=dict)
    reason: str | None = None
    message: str = ""
    log: str = ""
    used: EpisodeUsage = EpisodeUsage()
    signs: tuple[str, ...] = ()
