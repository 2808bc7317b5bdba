"""What an agent is given to work on, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class AgentTask:
    """A statement, and the workspace that it is about: path -> content."""

    statement: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class EpisodeUsage:
    """What one episode has used of its limits."""

    steps: int = 0
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0  # of the agent's own, without waiting for the model


@dataclass(frozen=True)
class EpisodeResult:
    """The workspace after an episode: a claim, as everything an agent says. `reason`: it failed."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    reason: str | None = None
    message: str = ""
    log: str = ""
    used: EpisodeUsage = EpisodeUsage()
    signs: tuple[str, ...] = ()  # that it reached for what it must not have
