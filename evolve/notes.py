"""Notes: every so many decisions, what worked and what failed is written down for later prompts.

They are taken when a decision is due, from what that decision sees, and kept in the archive under its
number; a run that is resumed or repeated takes the same ones.
"""

from __future__ import annotations

from archive import Note, Snapshot, derive_id
from evolve.llm import ModelError, OutOfBudget
from evolve.operators.prompting import Prompts
from evolve.proposer import Asker
from evolve.recorder import Recorder
from evolve.search.statistics import statistics
from evolve.tasks import Task


class NoteTaker:
    """Writes notes when they are due. With an asker, a model words them: a call like any other."""

    def __init__(self, task: Task, seed: int, every: int, recorder: Recorder, prompts: Prompts,
                 asker: Asker | None) -> None:
        self.task, self._seed, self._every = task, seed, every
        self._recorder, self._prompts, self._asker = recorder, prompts, asker

    async def take(self, number: int, snapshot: Snapshot) -> None:
        """Before decision `number`: write notes, unless they are not due or there already."""
        due = number > 1 and (number - 1) % self._every == 0
        if not due or snapshot.notes == number or not snapshot.outcomes:
            return
        text = statistics(snapshot)
        worded = await self._worded(number, text) if self._asker is not None else None
        await self._recorder.take_notes(Note(number, worded or text, "model" if worded else None))

    async def _worded(self, number: int, text: str) -> str | None:
        """A model's words; None where it has none, or no budget is left for them.

        The call belongs to the seed's row, in a round of its own: a stored reply is found again.
        """
        assert self._asker is not None
        seed = await self._recorder.proposal(derive_id(self._seed, 0))
        messages = [{"role": "system", "content": self._prompts.render("system.j2")},
                    {"role": "user", "content": "\n".join([
                        self._prompts.render("task.j2", task=self.task, marked=False),
                        self._prompts.render("meta_notes.j2", statistics=text)])}]
        try:
            reply = await self._asker.ask(seed, number, messages)
        except (OutOfBudget, ModelError):
            return None
        return reply.text.strip() or None
