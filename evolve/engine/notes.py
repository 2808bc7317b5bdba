"""Notes: every `notes_every` decisions, a summary of successes and failures for prompts.

Notes are taken before a decision, from the results that this decision sees, and stored in the
archive under its number: a resumed or repeated run takes the same ones. If a model is to
phrase them, its call runs concurrently with the search, and its text is stored under the
negated number. Later decisions show the text as soon as it arrives; with a window, decisions
from `window` numbers later show it, and wait for it.
"""

import asyncio

from evolve.archive import CallPurpose, Note, Snapshot, derive_id
from evolve.engine.services import Services
from evolve.models import ModelError, Models, OutOfBudget
from evolve.search.statistics import statistics


class NoteTaker:
    """Takes notes every `notes_every` decisions; with `notes = "model"` a model phrases them.

    Args:
        services: The shared parts of the run, with its settings.
    """

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self.task, self._seed = services.task, settings.seed
        self._every, self._window = settings.notes_every, settings.window or 0
        self._recorder, self._prompts = services.recorder, services.prompts
        self._models = services.models if settings.notes == "model" else None
        self._wording: asyncio.Task[Note | None] | None = None
        self._tried = 0  # number of the notes that the model was asked about last

    async def take(self, number: int, snapshot: Snapshot) -> None:
        """Take notes before a decision if they are due and not stored yet.

        Args:
            number: Number of the decision.
            snapshot: The results that the decision sees.
        """
        last = snapshot.notes or 0
        if self._models is not None and last > self._tried:
            # the run was stopped before the model's text arrived
            self._word(Note(last, await self._recorder.notes(last)))
        if self._window and number >= self._tried + self._window:
            await self._show_words()
        due = number > 1 and (number - 1) % self._every == 0
        if not due or abs(last) >= number or not snapshot.outcomes:
            return
        if not self._window and self._wording is not None and not self._wording.done():
            return  # the model still phrases the previous notes
        await self._show_words()
        note = Note(number, statistics(snapshot))
        await self._recorder.take_notes(note)
        self._word(note)

    async def finish(self) -> None:
        """Wait for a text in flight, which is paid for; with a window it is shown later."""
        if self._wording is not None:
            await self._wording

    async def _show_words(self) -> None:
        """Wait for the model's text; with a window, store it now, when its turn has come."""
        if self._wording is None:
            return
        worded = await self._wording
        self._wording = None
        if self._window and worded is not None:
            await self._recorder.take_notes(worded)

    def _word(self, note: Note) -> None:
        if self._models is not None:
            self._tried = note.number
            self._wording = asyncio.create_task(
                self._put_into_words(note, self._models)
            )

    async def _put_into_words(self, note: Note, models: Models) -> Note | None:
        """Let a model phrase the notes.

        The call belongs to the seed's row, with the number of the notes as its step, so that
        a resumed run finds a stored reply.

        Returns:
            The notes under their negated number; None if the model failed, the budget is
            exhausted, or the reply is empty.
        """
        seed = await self._recorder.proposal(derive_id(self._seed, 0))
        prompts = self._prompts
        task = prompts.render("task.j2", task=self.task, marked=False)
        question = prompts.render("meta_notes.j2", statistics=note.text)
        messages = prompts.chat(f"{task}\n{question}")
        try:
            reply = await models.ask(
                seed, CallPurpose.NOTES, messages, step=note.number
            )
        except (OutOfBudget, ModelError):
            return None
        if not reply.text.strip():
            return None
        worded = Note(-note.number, reply.text.strip(), "model")
        if not self._window:
            await self._recorder.take_notes(worded)
        return worded
