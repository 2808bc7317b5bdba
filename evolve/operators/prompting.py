"""Prompts from jinja2 files, cut to a number of tokens. What is common to many prompts comes first
(system, task, notes, then the parent, then the rest), so that the caches of servers hit.

A task's own `prompts/` comes before the user's (~/.config/evolve/prompts), and both before ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jinja2

from archive import Evaluation, Proposal
from evolve.errors import ConfigError
from evolve.operators.operator import Context, Lesson, Parent
from evolve.operators.tokens import CountTokens, by_bytes, cut_to
from evolve.tasks import Task
from evolve.tasks.region import START

PROMPT_TOKENS = 16_000  # for a whole prompt, unless the settings say otherwise
FEEDBACK_SHARE, LOG_SHARE, NOTES_SHARE = 0.15, 0.05, 0.1  # of it, at most, for one piece
Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Prompts:
    """Templates, the length that a prompt may have, and how it is counted."""

    folders: tuple[Path, ...] = ()
    tokens: int = PROMPT_TOKENS
    count: CountTokens = by_bytes
    _environments: list[jinja2.Environment] = field(default_factory=list, compare=False, repr=False)

    def check(self) -> None:
        """Raises `ConfigError` for a template that can't be read."""
        for name in self._environment.list_templates():
            if name.endswith(".j2"):
                self._template(name)

    def render(self, template: str, **values: Any) -> str:
        """One template. Raises `ConfigError` naming its file."""
        found = self._template(template)
        try:
            return found.render(**values)
        except jinja2.TemplateError as error:
            raise ConfigError(f"{found.filename}: {error}", "known values: " + ", ".join(values)
                              ) from None

    def _template(self, name: str) -> jinja2.Template:
        try:
            return self._environment.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{error.filename}:{error.lineno}: {error.message}") from None

    @property
    def _environment(self) -> jinja2.Environment:
        if not self._environments:
            loaders = [*map(jinja2.FileSystemLoader, self.folders),
                       jinja2.PackageLoader("evolve.operators", "prompts")]
            made = jinja2.Environment(
                loader=jinja2.ChoiceLoader(loaders), autoescape=False, trim_blocks=True,
                undefined=jinja2.StrictUndefined, lstrip_blocks=True)
            made.filters["exact"] = repr  # scores at full precision
            made.filters["oneline"] = lambda text: " ".join(str(text).split())[:300]
            self._environments.append(made)
        return self._environments[0]


def messages_for(context: Context, prompts: Prompts, instruction: str,
                 shows: Collection[str], **values: Any) -> Messages:
    """The chat for an operator. What is shown beside the parent is cut until it fits."""
    task, parent = context.task, context.parents[0]
    paths = task.edits.within(parent.files)
    common: dict[str, Any] = {
        "task": task, "several": len(paths) > 1 or bool(task.edits.patterns),
        "marked": any(START.encode() in parent.files[path] for path in paths)} | values
    notes, hints = (cut_to(text, int(prompts.tokens * NOTES_SHARE), prompts.count)
                    for text in (context.evidence.notes, context.evidence.hints))
    head = prompts.render("system.j2")
    first = prompts.render("task.j2", **common) + "\n" + prompts.render(
        "notes.j2", notes=notes, hints=hints)
    last = prompts.render(instruction, **common)
    mates = [_shown(task, prompts, mate) for mate in context.parents[1:]]
    fixed = {"parent": _shown(task, prompts, parent), "mates": mates}
    bare = prompts.render("evidence.j2", **fixed, **_nothing())
    room = prompts.tokens - sum(map(prompts.count, (head, first, last, bare)))
    shown = prompts.render("evidence.j2", **fixed, **_fitting(context, prompts, shows, room))
    return [{"role": "system", "content": head},
            {"role": "user", "content": "\n".join([first, shown, last])}]


def _nothing() -> dict[str, Any]:
    return {"rows": [], "inspirations": [], "lessons": [], "tried": [], "failures": []}


def _fitting(context: Context, prompts: Prompts, shows: Collection[str], room: int
             ) -> dict[str, Any]:
    """What is known beside the parent, the most useful first, as long as there is room for it."""
    evidence, shown = context.evidence, _nothing()
    wanted: list[tuple[str, Any]] = [
        ("rows", [_short(row, prompts) for row in context.parents[0].rows]),
        ("inspirations", [_shown(context.task, prompts, one) for one in evidence.inspirations[:1]]),
        ("failures", [_failure(one, prompts) for one in evidence.failures]),
        ("lessons", [_lesson(one) for one in evidence.lessons]),
        ("tried", list(evidence.tried)),
        ("inspirations", [_shown(context.task, prompts, one) for one in evidence.inspirations[1:]])]
    for key, pieces in wanted:
        for piece in pieces if key in shows else ():
            size = prompts.count(prompts.render("evidence.j2", parent=None, mates=[],
                                                **_nothing() | {key: [piece]}))
            if size <= room:
                shown[key].append(piece)
                room -= size
    return shown


def repair_message(prompts: Prompts, problem: str) -> str:
    """What a model is told about an answer that can't be used."""
    return prompts.render("repair.j2", problem=problem)


def _short(row: Evaluation, prompts: Prompts) -> Evaluation:
    limit = int(prompts.tokens * FEEDBACK_SHARE)
    return replace(row, feedback=cut_to(row.feedback, limit, prompts.count))


def _failure(failed: Proposal, prompts: Prompts) -> Proposal:
    limit = int(prompts.tokens * LOG_SHARE)
    return replace(failed, log=cut_to(failed.log.strip(), limit, prompts.count))


def _lesson(lesson: Lesson) -> Mapping[str, Any]:
    return {"before": lesson.before.score, "after": lesson.after.score,
            "note": lesson.after.proposal.note, "patch": lesson.patch}


def _shown(task: Task, prompts: Prompts, variant: Parent) -> dict[str, Any]:
    files = [(path, _with_end(variant.files[path].decode()))
             for path in task.edits.within(variant.files)]
    return {"score": variant.score, "listing": _listing(task, prompts, files)}


def _listing(task: Task, prompts: Prompts, files: Sequence[tuple[str, str]]) -> str:
    return prompts.render("variant.j2", files=files, language=task.spec.language)


def _with_end(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
