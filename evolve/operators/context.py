"""What an operator is shown: the parents, and everything else that was known."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evolve.archive import CallPurpose, Evaluation, Proposal
from evolve.operators.templates import Prompts
from evolve.tasks import AgentTask, EpisodeResult, Task


@dataclass(frozen=True)
class Parent:
    """A scored variant with its files and what the scorer said of it."""

    proposal: Proposal
    files: Mapping[str, bytes]
    score: float
    rows: Sequence[Evaluation] = ()


@dataclass(frozen=True)
class Lesson:
    """A variant and a child of it that scored better, with what was changed."""

    before: Parent
    after: Parent

    @property
    def patch(self) -> str:
        """The change as a unified diff."""
        lines: list[str] = []
        before, after = self.before.files, self.after.files
        for path in sorted(before.keys() | after.keys()):
            lines += _changed_lines(path, before.get(path, b""), after.get(path, b""))
        return "\n".join(lines)


@functools.lru_cache(maxsize=256)  # the best steps are shown in many prompts
def _changed_lines(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    old, new = (
        content.decode(errors="replace").splitlines() for content in (before, after)
    )
    return tuple(difflib.unified_diff(old, new, path, path, n=1, lineterm=""))


@dataclass(frozen=True)
class Tried:
    """A scored child of the first parent that did not score better."""

    note: str
    score: float


@dataclass(frozen=True)
class Attempt:
    """What was tried on the first parent before, whatever became of it."""

    note: str
    became: str


@dataclass(frozen=True)
class Evidence:
    """What is shown beside the parents. All of it was known when the proposal was decided."""

    inspirations: tuple[Parent, ...] = ()
    # recent children of the first parent that failed
    failures: tuple[Proposal, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    tried: tuple[Tried, ...] = ()
    notes: str = ""
    hints: str = ""  # what people told the run
    attempts: tuple[Attempt, ...] = ()  # for operators that are expensive


@dataclass(frozen=True)
class Reply:
    """A model's answer, stored before anything looks into it."""

    text: str
    finish_reason: str | None = None


AskModel = Callable[[CallPurpose, list[dict[str, str]]], Awaitable[Reply]]
"""(purpose, messages) -> reply; a reply that is stored for it is returned, not paid again."""


RunAgent = Callable[[int, Mapping[str, bytes], AgentTask], Awaitable[EpisodeResult]]
"""(attempt, agent, work) -> what the agent left behind; its steps are stored as replies are."""


@dataclass(frozen=True)
class Context:
    """Everything an operator may use. Randomness comes from `rng` alone."""

    task: Task
    parents: tuple[Parent, ...]
    rng: np.random.Generator
    evidence: Evidence = field(default_factory=Evidence)
    ask: AskModel | None = None
    # what was wrong with the first answer, on the second round
    repair: str | None = None
    # that was a duplicate: another idea is asked for, not a repair of this one
    known: bool = False
    note: str = ""  # of the child that is repaired
    # ours, unless a task or a person has others
    prompts: Prompts = field(default_factory=Prompts)
    let_work: RunAgent | None = None  # where the task is one for agents
