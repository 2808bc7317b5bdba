"""The input of an operator: the parents, and the rest of the prompt context."""

import difflib
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from evolve.archive import CallPurpose, Evaluation, Files, Proposal, Reply
from evolve.operators.templates import Prompts
from evolve.tasks import AgentTask, EpisodeResult, Task

# pairs of equal lines times lines: difflib takes under half a second for it
MAX_DIFF_WORK = 8_000_000


@dataclass(frozen=True)
class Parent:
    """A scored variant with its files.

    Attributes:
        proposal: its row
        files: path -> content
        score: mean over the search cases
        rows: evaluations with feedback of the scorer
    """

    proposal: Proposal
    files: Files
    score: float
    rows: Sequence[Evaluation] = ()


@dataclass(frozen=True)
class Lesson:
    """A variant and a better-scoring child of it."""

    before: Parent
    after: Parent

    @property
    def patch(self) -> str:
        """The change as a unified diff."""
        lines: list[str] = []
        before, after = self.before.files, self.after.files
        for path in sorted(before.keys() | after.keys()):
            lines += changed_lines(path, before.get(path, b""), after.get(path, b""))
        return "\n".join(lines)


@functools.lru_cache(maxsize=256)  # the best steps appear in many prompts
def changed_lines(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    """Return the difference of a file as the lines of a unified diff.

    Args:
        path: the file
        before: its old content
        after: its new content

    Returns:
        Its lines without line ends; empty if nothing differs.
    """
    old, new = (
        content.decode(errors="replace").splitlines() for content in (before, after)
    )
    if _pairs(old, new) * min(len(old), len(new)) > MAX_DIFF_WORK:
        return _one_hunk(path, old, new)
    return tuple(difflib.unified_diff(old, new, path, path, n=1, lineterm=""))


def _pairs(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many pairs of equal lines difflib looks at; it leaves out frequent ones."""
    popular = len(new) // 100 + 1 if len(new) >= 200 else len(new)
    counts = Counter(new)
    return sum(counts[line] for line in old if counts[line] <= popular)


def _one_hunk(path: str, old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return a diff with all lines from the first to the last difference as one hunk."""
    least = min(len(old), len(new))
    first = next((k for k in range(least) if old[k] != new[k]), least)
    same = (k for k in range(least - first) if old[-1 - k] != new[-1 - k])
    last = next(same, least - first)
    gone, come = old[first : len(old) - last], new[first : len(new) - last]
    return (
        f"--- {path}",
        f"+++ {path}",
        f"@@ -{first + 1},{len(gone)} +{first + 1},{len(come)} @@",
        *(f"-{line}" for line in gone),
        *(f"+{line}" for line in come),
    )


@dataclass(frozen=True)
class Tried:
    """A scored child of the first parent that did not score better."""

    note: str
    score: float


@dataclass(frozen=True)
class Attempt:
    """An earlier attempt to change the first parent, with its outcome.

    Attributes:
        note: one line on the change
        became: outcome in words, such as a score or a failure
    """

    note: str
    became: str


@dataclass(frozen=True)
class PromptContext:
    """Prompt context besides the parents, as known when the proposal was decided.

    Attributes:
        inspirations: other good or diverse variants
        failures: recent children of the first parent that failed
        lessons: improvements found in the run
        tried: scored children of the first parent that were not better
        notes: notes that a model wrote about the run
        hints: text that people sent to the run
        attempts: earlier attempts, for expensive operators
    """

    inspirations: tuple[Parent, ...] = ()
    failures: tuple[Proposal, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    tried: tuple[Tried, ...] = ()
    notes: str = ""
    hints: str = ""
    attempts: tuple[Attempt, ...] = ()


AskModel = Callable[[CallPurpose, list[dict[str, str]]], Awaitable[Reply]]
"""(purpose, messages) -> reply; a stored reply is returned without a new call."""


RunAgent = Callable[[int, Files, AgentTask], Awaitable[EpisodeResult]]
"""(attempt, agent, task) -> result of the episode; its steps are stored like replies."""


@dataclass(frozen=True)
class Context:
    """Everything that an operator may use. Its only source of randomness is `rng`.

    Attributes:
        task: the task
        parents: the chosen parents, as many as the operator needs
        rng: generator of this proposal
        prompt_context: what the prompt shows besides the parents
        ask: asks a model; None in a run without models
        repair: the problem with the first answer, in the second round; None in the
            first
        known: the first answer was a duplicate, so ask for another idea, not for a
            repair
        note: note of the child that is repaired
        prompts: built-in templates, or those of the task or the user
        literals: numbers that `tune` writes: pairs (position, value)
        let_work: runs an agent; None except in agent tasks
    """

    task: Task
    parents: tuple[Parent, ...]
    rng: Generator
    prompt_context: PromptContext = field(default_factory=PromptContext)
    ask: AskModel | None = None
    repair: str | None = None
    known: bool = False
    note: str = ""
    prompts: Prompts = field(default_factory=Prompts)
    literals: tuple[tuple[int, float], ...] = ()
    let_work: RunAgent | None = None
