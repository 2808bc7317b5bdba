"""Prompts for models, cut to a number of tokens.

Text that many prompts share comes first (system, task, notes, then the parent, then the
rest), so that the prefix caches of servers hit.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from evolve.archive import Evaluation, Proposal, State
from evolve.errors import ConfigError
from evolve.operators.base import Rejected
from evolve.operators.context import Context, Lesson, Parent
from evolve.operators.listing import NAMES_SHARE, Program, difference
from evolve.operators.showing import Shown
from evolve.operators.templates import Prompts
from evolve.operators.tokens import cut_to
from evolve.tasks import Task
from evolve.tasks.region import START
from evolve.text import Data

# greatest share of the prompt for one piece
FEEDBACK_SHARE, LOG_SHARE, NOTES_SHARE = 0.15, 0.05, 0.1
AGENT_SHARE, CASES_SHARE = 0.5, 0.3  # in a question about an agent
HEADINGS = 100  # tokens of the lines between programs
ROWS_SHARE = 0.2  # that is kept free for feedback if the program does not fit
SHORT_METRICS = 20  # of a row that does not fit
Messages = list[dict[str, str]]


class Question(NamedTuple):
    """A chat for an operator.

    Attributes:
        messages: a system message and a user message
        parts: only parts of the program are shown
    """

    messages: Messages
    parts: bool


def messages_for(
    context: Context,
    prompts: Prompts,
    instruction: str,
    shows: Collection[str],
    **values: Any,
) -> Messages:
    """Return the chat for an operator.

    Args:
        context: parents and further prompt context
        prompts: templates and the greatest length
        instruction: template that describes the form of the answer
        shows: kinds of prompt context to include, if they fit
        values: further values for the templates

    Returns:
        A system message and a user message.

    Raises:
        ConfigError: a template is invalid
        Rejected: not even what may change fits into `prompts.tokens`
    """
    return question_for(context, prompts, instruction, shows, **values).messages


def question_for(
    context: Context,
    prompts: Prompts,
    instruction: str,
    shows: Collection[str],
    wanted: Sequence[str] = (),
    **values: Any,
) -> Question:
    """Return the chat for an operator, and whether it shows the program in parts.

    Args:
        context: parents and further prompt context
        prompts: templates and the greatest length
        instruction: template that describes the form of the answer
        shows: kinds of prompt context to include, if they fit
        wanted: files and functions that a model has asked for
        values: further values for the templates

    Returns:
        Messages of at most `prompts.tokens` tokens. The program is shown whole if it fits
        and has no long fixed part.

    Raises:
        ConfigError: a template is invalid
        Rejected: not even what may change fits
    """
    frame = _Frame(context, prompts, instruction, values)
    program = Program(context.task, context.parents[0], prompts, wanted)
    if not program.is_long:
        parent, *mates = (_shown(context.task, prompts, one) for one in context.parents)
        messages = frame.filled(shows, {"parent": parent, "mates": mates}, parts=False)
        if messages is not None:
            return Question(messages, parts=False)
    try:
        return Question(_in_parts(frame, program, shows), parts=True)
    except Rejected:
        if prompts.wider is None:
            raise
        # no prompt is short enough for the model: its server's refusal ends the run
        return question_for(
            context, prompts.wider, instruction, shows, wanted, **values
        )


class _Frame:
    """A prompt without its prompt context, which is the same for all proposals."""

    def __init__(
        self, context: Context, prompts: Prompts, instruction: str, values: Data
    ) -> None:
        self.context, self.prompts = context, prompts
        self._instruction, self._values = instruction, values
        self._notes = tuple(_notes_and_hints(context, prompts))

    def around(self, parts: bool) -> tuple[str, str]:
        """Return what is before the programs, and the instruction at the end.

        Args:
            parts: only a part of the program is shown
        """
        prompts, (notes, hints) = self.prompts, self._notes
        common = _form(self.context, parts) | self._values
        if parts:
            names, limit = str(self.context.task.edits), prompts.tokens * NAMES_SHARE
            common["editable"] = cut_to(names, int(limit), prompts.count)
        first = prompts.render_shared("task.j2", **common)
        first += "\n" + prompts.render_shared("notes.j2", notes=notes, hints=hints)
        return first, prompts.render_shared(self._instruction, **common)

    def room(self, parts: bool) -> int:
        """Return the number of tokens that are left for programs and their context."""
        texts = (self.prompts.render_shared("system.j2"), *self.around(parts))
        return self.prompts.tokens - sum(map(self.prompts.count, texts))

    def filled(
        self, shows: Collection[str], programs: Data, parts: bool
    ) -> Messages | None:
        """Return the chat with programs and what fits of the context.

        Args:
            shows: kinds of prompt context to include, if they fit
            programs: parent and mates
            parts: they are shown in parts

        Returns:
            The messages; None if not even the programs fit.
        """
        prompts = self.prompts
        bare = prompts.render("prompt_context.j2", **programs, **_nothing())
        room = self.room(parts) - prompts.count(bare)
        if room < 0:
            return None
        fitting = _fitting(self.context, prompts, shows, room, parts)
        shown = prompts.render("prompt_context.j2", **programs, **fitting)
        first, last = self.around(parts)
        return prompts.chat("\n".join([first, shown, last]))


def _in_parts(frame: _Frame, program: Program, shows: Collection[str]) -> Messages:
    """Return a chat that shows the editable parts, and of the rest what they use.

    Raises:
        Rejected: not even the editable part fits
    """
    context, prompts = frame.context, frame.prompts
    parent, *others = context.parents
    mates: list[dict[str, Any]] = [
        {"score": mate.score, "listing": difference(parent, mate, prompts)}
        for mate in others
    ]
    room = frame.room(parts=True)
    room -= sum(prompts.count(mate["listing"]) for mate in mates) + HEADINGS
    kept = min(_tokens_of_rows(context, prompts), int(prompts.tokens * ROWS_SHARE))
    excerpt = program.excerpt(room - kept, context.rng) or program.excerpt(
        room, context.rng
    )
    if excerpt is not None:
        shown = {"score": parent.score, "listing": excerpt.listing}
        messages = frame.filled(shows, {"parent": shown, "mates": mates}, parts=True)
        if messages is not None:
            return messages
    path, least = program.least
    needed = prompts.tokens - room + least
    raise Rejected(
        "prompt",
        f"what may change of {path} needs a prompt of about {needed:,} tokens; "
        f"prompt_tokens = {prompts.tokens}",
    )


def check_room(task: Task, prompts: Prompts, instructions: Collection[str]) -> None:
    """Check that a prompt can hold what may change of the seed.

    Args:
        task: the task with its seed
        prompts: templates and the greatest length
        instructions: templates of the run's operators

    Raises:
        ConfigError: `prompt_tokens` is too small
    """
    seed = Parent(Proposal("seed", 0, State.SCORED, "seed", (), 0, 0.0), task.seed, 0.0)
    for instruction in instructions:
        context = Context(task, (seed,), np.random.default_rng(0))
        try:
            values: dict[str, Any] = {"variant": 0, "learned": False}
            messages_for(context, prompts, instruction, [], **values)
        except Rejected as why:
            raise ConfigError(
                why.message,
                "raise prompt_tokens (and use a model that takes as much), or mark a "
                "smaller part with EVOLVE-BLOCK-START and EVOLVE-BLOCK-END",
            ) from None


def _form(context: Context, parts: bool) -> Data:
    """Return the form of the answer: one file or several, with markers or without."""
    edits, files = context.task.edits, context.parents[0].files
    paths = edits.within(files)
    return {
        "task": context.task,
        "several": len(paths) > 1 or bool(edits.patterns),
        "marked": any(START.encode() in files[path] for path in paths),
        "parts": parts,
    }


def agent_messages(
    context: Context,
    prompts: Prompts,
    shown: Shown,
    template: str = "diagnose.j2",
    **values: Any,
) -> Messages:
    """Return a question about an agent: what to change.

    Args:
        context: the agent is the first parent
        prompts: templates and the greatest length
        shown: cases and attempts to include, cut until they fit
        template: name of the template
        values: further values for the template

    Returns:
        One user message.

    Raises:
        ConfigError: the template is invalid
    """
    parent = context.parents[0]
    notes, hints = _notes_and_hints(context, prompts)
    agent = cut_to(
        _shown(context.task, prompts, parent)["listing"],
        int(prompts.tokens * AGENT_SHARE),
        prompts.count,
    )
    each = int(prompts.tokens * CASES_SHARE / max(1, 2 * len(shown.cases)))
    cases = [
        dict(case)
        | {
            key: cut_to(case[key].strip(), each, prompts.count)
            for key in ("feedback", "log")
        }
        for case in shown.cases
    ]
    text = prompts.render(
        template,
        task=context.task,
        agent=agent,
        score=parent.score,
        cases=cases,
        form=shown.form,
        attempts=shown.attempts,
        notes=notes,
        hints=hints,
        **values,
    )
    return [{"role": "user", "content": text}]


def _notes_and_hints(context: Context, prompts: Prompts) -> Iterator[str]:
    limit = int(prompts.tokens * NOTES_SHARE)
    for text in (context.prompt_context.notes, context.prompt_context.hints):
        yield cut_to(text, limit, prompts.count)


def _nothing() -> Data:
    return {"rows": [], "inspirations": [], "lessons": [], "tried": [], "failures": []}


def _fitting(
    context: Context,
    prompts: Prompts,
    shows: Collection[str],
    room: int,
    parts: bool,
) -> Data:
    """Return the prompt context that fits, the most useful pieces first."""
    more, shown = context.prompt_context, _nothing()
    others = [
        {"score": one.score, "listing": difference(context.parents[0], one, prompts)}
        if parts
        else _shown(context.task, prompts, one)
        for one in more.inspirations
    ]
    wanted: list[tuple[str, Any]] = [
        ("rows", [_short(row, prompts) for row in context.parents[0].rows]),
        ("inspirations", others[:1]),
        ("failures", [_failure(one, prompts) for one in more.failures]),
        ("lessons", [_lesson(one) for one in more.lessons]),
        ("tried", list(more.tried)),
        ("inspirations", others[1:]),
    ]
    for key, pieces in wanted:
        for piece in pieces if key == "rows" or key in shows else ():
            size = _size_of(key, piece, prompts)
            if size > room and key == "rows":
                piece = _shorter(piece, room, prompts)
                size = _size_of(key, piece, prompts)
            if size <= room:
                shown[key].append(piece)
                room -= size
    return shown


def _size_of(key: str, piece: Any, prompts: Prompts) -> int:
    """Return the tokens of one piece of the prompt context."""
    alone = _nothing() | {key: [piece]}
    return prompts.count(
        prompts.render("prompt_context.j2", parent=None, mates=[], **alone)
    )


def _tokens_of_rows(context: Context, prompts: Prompts) -> int:
    rows = context.parents[0].rows
    return sum(_size_of("rows", _short(row, prompts), prompts) for row in rows)


def _shorter(row: Evaluation, room: int, prompts: Prompts) -> Evaluation:
    """Return an evaluation with its first metrics and feedback for half of the room."""
    metrics = dict(list(row.metrics.items())[:SHORT_METRICS])
    feedback = cut_to(row.feedback, max(0, room) // 2, prompts.count)
    return replace(row, metrics=metrics, feedback=feedback)


def repair_message(
    prompts: Prompts, context: Context, anew: bool, parts: bool = False
) -> str:
    """Return the reply to an unusable answer.

    Args:
        prompts: templates
        context: `repair` holds the problem
        anew: ask for the whole program
        parts: the question showed only parts of the program

    Returns:
        Text of the message.
    """
    form = _form(context, parts)
    return prompts.render("repair.j2", problem=context.repair, anew=anew, **form)


def _short(row: Evaluation, prompts: Prompts) -> Evaluation:
    limit = int(prompts.tokens * FEEDBACK_SHARE)
    return replace(row, feedback=cut_to(row.feedback, limit, prompts.count))


def _failure(failed: Proposal, prompts: Prompts) -> Proposal:
    limit = int(prompts.tokens * LOG_SHARE)
    return replace(failed, log=cut_to(failed.log.strip(), limit, prompts.count))


def _lesson(lesson: Lesson) -> Mapping[str, Any]:
    before, after = lesson.before, lesson.after
    note = after.proposal.note
    return {
        "before": before.score,
        "after": after.score,
        "note": note,
        "patch": lesson.patch,
    }


def _shown(task: Task, prompts: Prompts, variant: Parent) -> Data:
    texts = {
        path: variant.files[path].decode() for path in task.edits.within(variant.files)
    }
    files = [
        (path, text if text.endswith("\n") else f"{text}\n")
        for path, text in texts.items()
    ]
    listing = prompts.render("variant.j2", files=files, language=task.spec.language)
    return {"score": variant.score, "listing": listing}
