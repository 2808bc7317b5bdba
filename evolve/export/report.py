"""A report in Markdown: results, method, costs and verification."""

import re
from collections.abc import Iterator
from pathlib import Path

from evolve.archive import Proposal, Variant
from evolve.runs.reader import OpenRun, make_folder
from evolve.text import one_line, quoted, visible
from evolve.view.terminal.lines import gap_to_best_known
from evolve.view.terminal.plot import can_draw, picture_plot
from evolve.view.terminal.stats import stats_data
from evolve.view.terminal.status import status_data
from evolve.view.web.pages import Step, case_rows, curves, lineage_of, models_of
from evolve.view.web.relatives import Relatives

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")


def write_report(run: OpenRun, folder: Path) -> list[Path]:
    """Write report.md, with its plots if matplotlib is installed.

    Args:
        run: the open run
        folder: a new or empty folder

    Returns:
        The files written.

    Raises:
        UsageError: the folder is not empty
    """
    make_folder(folder)
    written, data, maximize = [], curves(run), run.task.spec.maximize
    for over in ("variants", "cost", "time") if can_draw() else ():
        path = folder / f"{over}.svg"
        picture_plot(data, over, maximize, run.folder.name, path)
        written.append(path)
    report = folder / "report.md"
    report.write_text("\n".join(_lines(run)) + "\n", encoding="utf-8")
    return [report, *written]


def _lines(run: OpenRun) -> Iterator[str]:
    best = run.leader
    yield from [
        f"# {_plain(run.folder.name)}: {_plain(run.folder.task_name)}",
        "",
        _plain(run.task.spec.description, 2000),
        "",
    ]
    if best is None:
        yield "No variant is scored yet."
        return
    winner = run.proposal(best.id)
    yield from _found(run, winner, best)
    yield from _how(run, winner)
    yield from _cost(run)
    yield from _verified(run, winner)


def _found(run: OpenRun, winner: Proposal, best: Variant) -> Iterator[str]:
    seed = run.archive.first()
    before = run.variant(seed).score
    yield from [
        "## Result",
        "",
        f"The best of {run.count} variants scores **{best.score!r}**; the seed {before!r}"
        f"{gap_to_best_known(run.task, best.score)}. It is `{winner.id}`: "
        f"{_plain(winner.note, 300)}",
        *(["", f"On new inputs: {run.confirmed}."] if run.confirmed else []),
        "",
        *_picture("best so far", "variants"),
    ]
    patch = visible(run.patch(seed, winner))
    yield from ["The change against the seed:", "", *_fenced(patch, "diff"), ""]


def _how(run: OpenRun, winner: Proposal) -> Iterator[str]:
    settings = run.folder.settings
    models = ", ".join(use.model for use in models_of(run)) or "no model"
    yield from [
        "## Method",
        "",
        f"Policy {settings.policy}, {_plain(models)}, seed {settings.seed}, "
        f"{settings.islands} islands. The lineage of the best:",
        "",
        "| generation | variant | score | gain | operator | change |",
        "| ---: | --- | ---: | ---: | --- | --- |",
    ]
    for step in lineage_of(Relatives(run), winner.id):
        if step.skipped:
            yield f"| … | {step.skipped} more | | | | |"
        yield _row(step)
    yield from [
        "",
        "| operator | model | made | scored | improved | new best | gain |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for c in run.lineage.contributions():
        yield (
            f"| {_plain(c.operator)} | {_plain(c.model or '-')} | {c.made} | {c.scored} | "
            f"{c.improved} | {c.best} | {c.gain:.6g} |"
        )
    yield ""


def _picture(title: str, over: str) -> list[str]:
    return [f"![{title}]({over}.svg)", ""] if can_draw() else []


def _row(step: Step) -> str:
    variant = step.variant
    gain = "" if step.gain is None else f"{step.gain:+.6g}"
    return (
        f"| {step.generation} | `{variant.id[:8]}` | {variant.score!r} | {gain} | {_plain(variant.operator)} | "
        f"{_plain(variant.note, 120)} |"
    )


def _cost(run: OpenRun) -> Iterator[str]:
    data, status = stats_data(run), status_data(run)
    used = data["evaluator"]
    yield from [
        "## Cost",
        "",
        f"- ${status['usd']:.4f} for {status['calls']} model calls and "
        f"{status['tokens']:,} tokens (${status['uncertain_usd']:.4f} not settled)",
        f"- {used['rows']} evaluations, {used['seconds']:.0f} s, {used['cpu_s']:.0f} s of CPU",
        f"- {status['failed']} variants failed, {status['rejected']} proposals were rejected",
        *(
            f"    - {_plain(c['reason'])} ({c['state']}): {c['times']}"
            for c in data["causes"]
        ),
        "",
        *_picture("over dollars", "cost"),
        *_picture("over time", "time"),
    ]


def _verified(run: OpenRun, winner: Proposal) -> Iterator[str]:
    yield from [
        "## Verification",
        "",
        f"Each variant was scored by the task's `evaluate.py` (hash "
        f"`{run.folder.evaluator_hash}`) outside the candidate's sandbox. Rows of the best:",
        "",
        "| case | split | score | attempts | 95 % interval |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for case in case_rows(run.archive.evaluations(winner.id)):
        interval = (
            f"{case.interval.low:.6g} … {case.interval.high:.6g}"
            if case.interval
            else "-"
        )
        yield f"| {_plain(case.case)} | {case.split} | {case.score!r} | {case.attempts} | {interval} |"
    held = any(
        case.split == "heldout"
        for case in case_rows(run.archive.evaluations(winner.id))
    )
    yield from [
        "",
        "" if held else "No held-out case was scored in this run.",
        "",
        "Score it again:",
        "",
        *_fenced(
            f"evolve best {run.folder.quoted} -o best\n"
            f"evolve eval {quoted(run.folder.path / 'task')} best --split all\n"
            f"evolve verify {run.folder.quoted}  # with the run's values of case.seed",
            "sh",
        ),
    ]


def _fenced(text: str, language: str) -> list[str]:
    """Return a text in a fence that is longer than any fence in it."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", text.rstrip("\n"), fence]


def _plain(text: object, most: int = 100) -> str:
    """Escape all Markdown in a model's text."""
    return _MARKS.sub(r"\\\1", one_line(text, most))
