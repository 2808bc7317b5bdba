"""Prompts for models, cut to a number of tokens.

Text that many prompts share comes first (system, task, notes, then the parent, then the
rest), so that the prefix caches of servers hit.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from evolve.archive import Evaluation, Proposal
from evolve.operators.context import Context, Lesson, Parent
from evolve.operators.showing import Shown
from evolve.operators.templates import Prompts
from evolve.operators.tokens import cut_to
from evolve.tasks import Task
from evolve.tasks.region import START
from evolve.text import Data

# greatest share of the prompt for one piece
FEEDBACK_SHARE, LOG_SHARE, NOTES_SHARE = 0.15, 0.05, 0.1
AGENT_SHARE, CASES_SHARE = 0.5, 0.3  # in a question about an agent
Messages = list[dict[str, str]]


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
    """
    common = _form(context) | values
    notes, hints = _notes_and_hints(context, prompts)
    first = prompts.render_shared("task.j2", **common)
    first += "\n" + prompts.render_shared("notes.j2", notes=notes, hints=hints)
    last = prompts.render_shared(instruction, **common)
    parent, *mates = (_shown(context.task, prompts, one) for one in context.parents)
    fixed = {"parent": parent, "mates": mates}
    bare = prompts.render("prompt_context.j2", **fixed, **_nothing())
    used = (prompts.render_shared("system.j2"), first, last, bare)
    room = prompts.tokens - sum(map(prompts.count, used))
    fitting = _fitting(context, prompts, shows, room)
    shown = prompts.render("prompt_context.j2", **fixed, **fitting)
    return prompts.chat("\n".join([first, shown, last]))


def _form(context: Context) -> Data:
    """Return the form of the answer: one file or several, with markers or without."""
    edits, files = context.task.edits, context.parents[0].files
    paths = edits.within(files)
    return {
        "task": context.task,
        "several": len(paths) > 1 or bool(edits.patterns),
        "marked": any(START.encode() in files[path] for path in paths),
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
    context: Context, prompts: Prompts, shows: Collection[str], room: int
) -> Data:
    """Return the prompt context that fits, the most useful pieces first."""
    more, shown = context.prompt_context, _nothing()
    wanted: list[tuple[str, Any]] = [
        ("rows", [_short(row, prompts) for row in context.parents[0].rows]),
        (
            "inspirations",
            [_shown(context.task, prompts, one) for one in more.inspirations[:1]],
        ),
        ("failures", [_failure(one, prompts) for one in more.failures]),
        ("lessons", [_lesson(one) for one in more.lessons]),
        ("tried", list(more.tried)),
        (
            "inspirations",
            [_shown(context.task, prompts, one) for one in more.inspirations[1:]],
        ),
    ]
    for key, pieces in wanted:
        for piece in pieces if key == "rows" or key in shows else ():
            size = prompts.count(
                prompts.render(
                    "prompt_context.j2",
                    parent=None,
                    mates=[],
                    **_nothing() | {key: [piece]},
                )
            )
            if size <= room:
                shown[key].append(piece)
                room -= size
    return shown


def repair_message(prompts: Prompts, context: Context, anew: bool) -> str:
    """Return the reply to an unusable answer.

    Args:
        prompts: templates
        context: `repair` holds the problem
        anew: ask for the whole program

    Returns:
        Text of the message.
    """
    return prompts.render(
        "repair.j2", problem=context.repair, anew=anew, **_form(context)
    )


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
