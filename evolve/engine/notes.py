"""Notes: every so many decisions, what worked and what failed is written down for later prompts.

They are taken when a decision is due, from what that decision sees, and kept in the archive under its
number; a run that is resumed or repeated takes the same ones. A model's words for them are asked for
beside the search, which goes on meanwhile, and are kept under the negated number: decisions show them
from the moment they are there, or under a window from `window` decisions later, which wait for them.
"""

from __future__ import annotations

import asyncio

from evolve.archive import CallPurpose, Note, Snapshot, derive_id
from evolve.engine.services import Services
from evolve.models import ModelError, Models, OutOfBudget
from evolve.search.statistics import statistics


class NoteTaker:
    """Writes notes when they are due; a model's words for them are a call like any other."""

    def __init__(self, services: Services) -> None:
        """Take notes every `notes_every` decisions; where `notes = "model"`, a model words them."""
        settings = services.settings
        self.task, self._seed = services.task, settings.seed
        self._every, self._window = settings.notes_every, settings.window or 0
        self._recorder, self._prompts = services.recorder, services.prompts
        self._models = services.models if settings.notes == "model" else None
        self._wording: asyncio.Task[Note | None] | None = None
        self._tried = 0  # the number of the notes that words were asked for last

    async def take(self, number: int, snapshot: Snapshot) -> None:
        """Before decision `number`: write notes, unless they are not due or there already."""
        last = snapshot.notes or 0
        if self._models is not None and last > self._tried:
            # it was stopped before they came
            self._word(Note(last, await self._recorder.notes(last)))
        if self._window and number >= self._tried + self._window:
            await self._show_words()
        due = number > 1 and (number - 1) % self._every == 0
        if not due or abs(last) >= number or not snapshot.outcomes:
            return
        if not self._window and self._wording is not None and not self._wording.done():
            return  # the last ones are still put into words
        await self._show_words()
        note = Note(number, statistics(snapshot))
        await self._recorder.take_notes(note)
        self._word(note)

    async def finish(self) -> None:
        """Wait for words that were asked for: their reply is paid for. A window shows them later."""
        if self._wording is not None:
            await self._wording

    async def _show_words(self) -> None:
        """Under a window they are shown when it is their turn, not when they come."""
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
        """A model's words; none where it has none, or no budget is left for them.

        The call belongs to the seed's row, under the number of the notes: a stored reply is found
        again.
        """
        seed = await self._recorder.proposal(derive_id(self._seed, 0))
        messages = [
            {"role": "system", "content": self._prompts.render("system.j2")},
            {
                "role": "user",
                "content": "\n".join(
                    [
                        self._prompts.render("task.j2", task=self.task, marked=False),
                        self._prompts.render("meta_notes.j2", statistics=note.text),
                    ]
                ),
            },
        ]
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
