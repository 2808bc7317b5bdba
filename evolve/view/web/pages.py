"""The content of each page, as plain data for its template."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from evolve.archive import (
    PERSON,
    Call,
    Evaluation,
    Files,
    Interval,
    ModelUse,
    NotFound,
    Proposal,
    State,
    Variant,
    interval,
)
from evolve.runs.reader import OpenRun
from evolve.runs.working_time import working_time
from evolve.safety.audit import Audited, audit_run
from evolve.text import digits_apart, one_line
from evolve.view.diff import Change, Line, changes
from evolve.view.explain import what_for, why
from evolve.view.terminal.status import status_data
from evolve.view.web import payload
from evolve.view.web.colours import coloured_lines, plain_lines
from evolve.view.web.relatives import Relatives

MOST_CHILDREN, MOST_RECENT, MOST_CASES, MATRIX_ROWS, MOST_CLADES = 60, 12, 300, 40, 12
MOST_FLAGS = 200
MOST_STEPS, STEP_LINES = 60, 4  # improvements in a curve, and lines of their changes
FIRST_STEPS, LAST_STEPS = 8, 24  # of a long lineage
MOST_LINES, MOST_LINE_CHARS = 400, 2_000  # of a file; the rest is a link away
Page = dict[str, Any]


class CaseRow(NamedTuple):
    """A case of a variant.

    Attributes:
        case: id of the case
        split: "search", "select" or "heldout"
        score: mean over attempts; None if all failed
        attempts: number of evaluations
        interval: of the true mean, at 95 %; None for less than two scores
        rows: the evaluations
    """

    case: str
    split: str
    score: float | None
    attempts: int
    interval: Interval | None
    rows: tuple[Evaluation, ...]


def overview(run: OpenRun) -> Page:
    """Return the first page of a run: its state and results.

    Args:
        run: the open run

    Returns:
        Values for the template.
    """
    browser = run.browser
    best = run.leader
    recent = browser.finished_after(max(0, run.archive.last_event() - 60))[
        -MOST_RECENT:
    ]
    return {
        "status": status_data(run),
        "task": run.task.spec,
        "best": best,
        "seed": seed_score(run),
        "confirmed": run.confirmed,
        "causes": browser.causes()[:8],
        "operators": run.lineage.contributions(),
        "models": models_of(run),
        "gain": gain_of(run),
        "evaluator": browser.evaluator(),
        "recent": recent[::-1],
        "settings": run.folder.settings,
        "elapsed_s": working_time(run.archive, run.folder.worker() is not None).total,
        "digits": shown_digits(run),
        "path": lineage_of(Relatives(run), best.id) if best else [],
    }


def models_of(run: OpenRun) -> list[ModelUse]:
    """Return the use of each model; programs of a person are not counted."""
    return [use for use in run.browser.models() if use.model != PERSON]


def seed_score(run: OpenRun) -> float | None:
    """Return the score of the seed; None while it has none."""
    try:
        return run.variant(run.archive.first()).score
    except NotFound:
        return None


def gain_of(run: OpenRun) -> float | None:
    """Return how much better the best is than the seed; None without two scores."""
    best, seed = run.leader, seed_score(run)
    if best is None or best.score is None or seed is None:
        return None
    return run.sign * (seed - best.score)


class Step(NamedTuple):
    """A generation on the path to a variant.

    Attributes:
        generation: from 0 for the seed
        variant: the variant
        gain: its score against the step before, positive if better; None for the seed
            and without a score
        skipped: number of generations left out before it
    """

    generation: int
    variant: Variant
    gain: float | None
    skipped: int


def lineage_of(kin: Relatives, proposal: str) -> list[Step]:
    """Return the path from the seed to a variant.

    Args:
        kin: relatives
        proposal: id of the variant

    Returns:
        Beginning and end of the path if it is long.
    """
    path = list(kin.path(proposal))
    variants = {variant.id: variant for variant in kin.variants(path)}
    left_out = max(0, len(path) - FIRST_STEPS - LAST_STEPS)
    resumes = len(path) - LAST_STEPS if left_out else 0
    steps = []
    for place, name in enumerate(path):
        if left_out and FIRST_STEPS <= place < resumes:
            continue
        now, before = variants[name], variants.get(path[place - 1]) if place else None
        gain = kin.gain(before, now)
        steps.append(Step(place, now, gain, left_out if place == resumes else 0))
    return steps


def variant(run: OpenRun, proposal: Proposal, kin: Relatives | None = None) -> Page:
    """Return the page of a proposal.

    Args:
        run: the open run
        proposal: the proposal
        kin: relatives; None to query them

    Returns:
        Values for the template.
    """
    kin = kin or Relatives(run)
    parent = run.parent_of(proposal)
    children = kin.children(proposal.id)
    before = run.files(parent) if parent and parent.tree else {}
    after = run.files(proposal) if proposal.tree else {}
    return {
        "p": proposal,
        "row": kin.variants([proposal.id])[0],
        "task": run.task.spec,
        "parents": kin.variants(proposal.parents),
        "children": children[:MOST_CHILDREN],
        "more_children": max(0, len(children) - MOST_CHILDREN),
        "cases": case_rows(run.archive.evaluations(proposal.id)),
        "calls": [_call(call) for call in run.archive.calls(proposal.id)],
        "diff": file_changes(before, after) if proposal.parents and after else [],
        "files": _file_texts(before, after),
        "path": lineage_of(kin, proposal.id),
        "why": why(run, proposal),
        "parent": parent,
    }


def difference(run: OpenRun, old: Proposal, new: Proposal) -> Page:
    """Return the page that compares two variants.

    Args:
        run: the open run
        old: left side
        new: right side

    Returns:
        Values for the template.
    """
    return {
        "old": old,
        "new": new,
        "old_score": run.variant(old).score,
        "new_score": run.variant(new).score,
        "diff": file_changes(run.files(old), run.files(new)),
    }


def file_changes(before: dict[str, bytes], after: dict[str, bytes]) -> list[Change]:
    """Return the diff of two trees in the colours of their languages.

    Args:
        before: old tree, path -> content
        after: new tree, path -> content

    Returns:
        Differing files, sorted by path.
    """
    found = []
    for change in changes(before, after):
        left = _lines_of(change.path, before.get(change.path, b""))
        right = _lines_of(change.path, after.get(change.path, b""))
        hunks = tuple(
            tuple(_shown(line, left, right) for line in hunk) for hunk in change.hunks
        )
        found.append(change._replace(hunks=hunks))
    return found


def _shown(line: Line, left: Sequence[Markup], right: Sequence[Markup]) -> Line:
    side, number = (left, line.old) if line.new is None else (right, line.new)
    assert number is not None
    html = side[number - 1] if number <= len(side) else plain_lines(line.text or " ")[0]
    return line._replace(text=html)


def case_rows(rows: Iterable[Evaluation]) -> list[CaseRow]:
    """Group evaluations by case.

    Args:
        rows: evaluations of one variant

    Returns:
        Cases in the order of their first evaluation.
    """
    found: dict[tuple[str, str], list[Evaluation]] = {}
    for row in rows:
        found.setdefault((row.case, row.split), []).append(row)
    return [
        _case_row(case, split, tuple(tries)) for (case, split), tries in found.items()
    ]


def _case_row(case: str, split: str, tries: tuple[Evaluation, ...]) -> CaseRow:
    scores = [
        row.score for row in tries if row.score is not None and row.reason is None
    ]
    mean = sum(scores) / len(scores) if scores else None
    return CaseRow(
        case,
        split,
        mean,
        len(tries),
        interval(scores) if len(scores) > 1 else None,
        tries,
    )


def case_matrix(run: OpenRun) -> Page:
    """Return the page of the best variants by case, and of clades.

    Args:
        run: the open run

    Returns:
        Values for the template.
    """
    ranked = run.best(MATRIX_ROWS)
    found = run.browser.case_scores(r.id for r in ranked)
    cases = sorted({row.case for row in found}, key=_natural)[:MOST_CASES]
    cells = {(row.proposal, row.case): row for row in found}
    known = [row.score for row in found if row.score is not None]
    return {
        "ranked": ranked,
        "cases": cases,
        "cells": cells,
        "task": run.task.spec,
        "low": min(known, default=0.0),
        "high": max(known, default=1.0),
        "clades": clades(run),
        "flags": audited(run),
    }


def audited(run: OpenRun) -> list[Audited]:
    """Return the variants that a person should check.

    Args:
        run: the open run

    Returns:
        In agent tasks the flagged agents, in others the quarantined variants.
    """
    if run.task.spec.kind == "agent":
        return audit_run(run.archive, run.code)[:MOST_FLAGS]
    doubtful = [p for p in run.archive.proposals([State.SCORED]) if p.quarantined][
        :MOST_FLAGS
    ]
    return [Audited(p.id, "quarantined", "variant", why(run, p), ()) for p in doubtful]


class Clade(NamedTuple):
    """A variant with all its descendants."""

    root: Any
    size: int
    scored: int
    failed: int
    mean: float | None
    best: float | None
    cost_usd: float


def clades(run: OpenRun) -> list[Clade]:
    """Return the largest families below the seed.

    The path to the best variant divides them: each family starts where it leaves that
    path.

    Args:
        run: the open run

    Returns:
        Largest first.
    """
    variants = [n for n in run.browser.variants() if n.state != State.REJECTED.value]
    best = run.leader
    spine = set(run.lineage.path(best.id)) if best else set()
    roots: dict[str, str] = {}
    members: dict[str, list[Any]] = {}
    for variant in variants:
        parent_root = roots.get(variant.parent or "")
        heads = variant.parent is None or (
            variant.parent in spine and variant.id not in spine
        )
        root = variant.id if heads or parent_root is None else parent_root
        if variant.id in spine:
            root = variants[0].id
        roots[variant.id] = root
        members.setdefault(root, []).append(variant)
    found = [_clade(group, run.task.spec.maximize) for group in members.values()]
    return sorted(found, key=lambda clade: -clade.size)[:MOST_CLADES]


def _clade(group: list[Any], maximize: bool) -> Clade:
    scores = [n.score for n in group if n.score is not None and not n.quarantined]
    return Clade(
        group[0],
        len(group),
        len(scores),
        sum(n.state == State.FAILED.value for n in group),
        sum(scores) / len(scores) if scores else None,
        (max if maximize else min)(scores, default=None),
        sum(n.cost_usd for n in group),
    )


def _natural(case: str) -> tuple[str, int, str]:
    """Return a sort key that puts case-2 before case-10."""
    head = case.rstrip("0123456789")
    digits = case[len(head) :]
    return head, int(digits[:18] or 0), case


def curves(run: OpenRun) -> Page:
    """Return the data of the curves, with the lines that they are compared with.

    Args:
        run: the open run

    Returns:
        Columns, the seed's score and the best known one.
    """
    worked = working_time(run.archive, run.folder.worker() is not None)
    spec, known = run.task.spec, run.task.spec.best_known
    found = payload.curve_payload(run.browser.variants(), run.ranked, worked)
    return found | {
        "maximize": spec.maximize,
        "seed": seed_score(run),
        "known": known.score if known else None,
        "steps": _steps(run, found),
    }


def _steps(run: OpenRun, found: Page) -> dict[str, Page]:
    """Return the last improvements of the best, by number of variants, with the changed lines."""
    best = [(n, name) for n, name in zip(found["n"], found["id"], strict=True) if name]
    steps = {}
    for n, name in best[-MOST_STEPS:]:
        child = run.archive.proposal(name)
        parent = run.nearest_parent(name, child.parents)
        steps[str(n)] = {
            "id": name,
            "note": one_line(child.note, 100),
            "lines": _changed_lines(run, parent, child) if parent else [],
        }
    return steps


def _changed_lines(run: OpenRun, parent: str, child: Proposal) -> list[str]:
    patch = run.patch(run.archive.proposal(parent), child).splitlines()
    changed = [
        line for line in patch if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    return [one_line(line, 100) for line in changed[:STEP_LINES]]


def shown_digits(run: OpenRun) -> int:
    """Return how many significant digits distinguish the best from the seed."""
    return digits_apart(run.leader.score if run.leader else None, seed_score(run))


def _lines_of(path: str, content: bytes) -> tuple[Markup, ...]:
    text = content.decode(errors="replace")
    if any(len(line) > MOST_LINE_CHARS for line in text.splitlines()):
        text = "\n".join(map(_cut, text.splitlines()))
    return coloured_lines(path, text)


def _cut(line: str) -> str:
    left = len(line) - MOST_LINE_CHARS
    return line if left <= 0 else f"{line[:MOST_LINE_CHARS]} … {left:,} more characters"


class FileText(NamedTuple):
    """The beginning of a file.

    Attributes:
        path: the file
        lines: its first lines, as HTML
        length: number of all lines
        bytes: its size
        open: whether it is unfolded: it was changed, or it is the only one
    """

    path: str
    lines: tuple[Markup, ...]
    length: int
    bytes: int
    open: bool


def _file_texts(before: Files, after: Files) -> list[FileText]:
    """Return the files of a variant; those that its parent has, too, are folded."""
    found = []
    for path, content in sorted(after.items()):
        lines = _lines_of(path, content)
        changed = before.get(path) != content if before else len(after) == 1
        found.append(
            FileText(
                path,
                lines[:MOST_LINES],
                len(lines),
                len(content),
                changed or len(after) == 1,
            )
        )
    return found


def _call(call: Call) -> dict[str, Any]:
    messages = json.loads(call.request).get("messages", [])
    return {"call": call, "messages": messages, "what": what_for(call)}


def find(run: OpenRun, which: str) -> Proposal:
    """Return a proposal by id or prefix.

    Args:
        run: the open run
        which: from an address, so it is untrusted

    Returns:
        The proposal.

    Raises:
        NotFound: invalid, unknown or ambiguous
    """
    if not which.isalnum() or len(which) > 40:
        raise NotFound("unknown variant", "look at the tree")
    return run.proposal(which)
