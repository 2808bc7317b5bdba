"""Prompts from jinja2 files: what is common to all prompts of a task first, so that caches hit."""

from __future__ import annotations

import functools
from typing import Any

import jinja2

from evolve.operators.operator import Context, Parent
from evolve.tasks import Task

LISTING_BYTES = 60_000


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("evolve.operators", "prompts"), autoescape=False,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["exact"] = repr  # scores at full precision
    environment.filters["oneline"] = lambda text: " ".join(str(text).split())[:300]
    return environment


def messages_for(context: Context, instruction: str) -> list[dict[str, str]]:
    """The chat for an operator: system, then task, evidence, parent and instruction."""
    task, parent = context.task, context.parents[0]
    paths = task.edits.within(parent.files)
    marked = any(b"EVOLVE-BLOCK-START" in parent.files[path] for path in paths)
    common: dict[str, Any] = {"task": task, "marked": marked,
                              "several": len(paths) > 1 or bool(task.edits.patterns)}
    text = "\n".join([
        _render("task.j2", **common),
        _render("evidence.j2", parent=_shown(task, parent),
                inspirations=[_shown(task, other) for other in context.evidence.inspirations],
                failures=context.evidence.failures),
        _render(instruction, **common),
    ])
    return [{"role": "system", "content": _render("system.j2")}, {"role": "user", "content": text}]


def repair_message(problem: str) -> str:
    """What a model is told about an answer that can't be used."""
    return _render("repair.j2", problem=problem)


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


def _shown(task: Task, variant: Parent) -> dict[str, Any]:
    files = [(path, _with_end(variant.files[path].decode()))
             for path in task.edits.within(variant.files)]
    listing = _render("variant.j2", files=files, language=task.spec.language)
    return {"score": variant.score, "rows": variant.rows, "listing": listing[:LISTING_BYTES]}


def _with_end(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
