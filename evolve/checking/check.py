"""Score the seed twice, then fire every attack at the evaluator, in the sandbox of its task."""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evolve.checking.attacks import ATTACKS, Attack, programs
from evolve.checking.hostile import FOUND
from evolve.engine import above_ceiling
from evolve.errors import RunError
from evolve.evaluation import SHARED, Evaluator, Verdict, draw_secret
from evolve.launch import open_evaluator, score_seed
from evolve.tasks import Task
from sandbox import ProviderFault

Note = Callable[[str], None]
_SLOWER, _SHORTEST_S = 20.0, 3.0  # what an attack may take of the seed's time
_TIMED = re.compile(r"\b(perf_counter|time\.time|monotonic|process_time|candidate\.seconds)\b")
_CONSTANT_SEED = re.compile(r"(seed|default_rng|RandomState|Random)\s*\(\s*\d+\s*\)|\bseed\s*=\s*\d+")


@dataclass(frozen=True)
class Tried:
    """What became of one attack."""

    attack: Attack
    score: float | None  # None: refused
    said: str  # why it was refused, or what it found
    pays: bool  # it got more than the seed, or found what it should not
    changed: bool = True  # its score is another than the seed's

    @property
    def word(self) -> str:
        if self.pays:
            return "PAYS"
        if self.score is None:
            return "refused"
        return "accepted" if self.changed else "no effect"


@dataclass(frozen=True)
class Report:
    """What `evolve check` knows of a task."""

    task: Task
    seed: float
    again: float
    seconds: float
    shared: bool
    tried: tuple[Tried, ...]
    notes: tuple[str, ...]

    @property
    def paying(self) -> tuple[Tried, ...]:
        return tuple(tried for tried in self.tried if tried.pays)


async def check(task: Task, sandbox: str, note: Note) -> Report:
    """Attack the task's evaluator. Raises `TaskError` when the seed has no score."""
    with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as log:
        secret = draw_secret()  # the same hidden inputs for all
        async with open_evaluator(task, sandbox, 1, Path(log.name), note, secret) as evaluator:
            first, second = await score_seed(evaluator), await score_seed(evaluator)
        seconds = sum(row.seconds for row in second.rows)
        quick = _hurried(task, max(row.seconds for row in second.rows))
        silent: Note = lambda _: None  # noqa: E731 - it was all said
        async with open_evaluator(quick, sandbox, 1, Path(log.name), silent, secret) as evaluator:
            limit = _limit(task, first.score, second.score)
            tried = [await _try(evaluator, name, program, limit)
                     for name, program in programs(quick).items()]
        tried = [replace(t, changed=t.score not in (first.score, second.score)) for t in tried]
    shared = any(SHARED in row.metrics for row in first.rows)
    return Report(task, first.score, second.score, seconds, shared, tuple(tried),
                  tuple(_notes(task, first, second, tried, shared)))


def _hurried(task: Task, seconds: float) -> Task:
    """The same task with less patience, so that an attack that hangs is known for it soon."""
    limits = task.spec.limits
    limit = min(limits.time_s, max(_SHORTEST_S, _SLOWER * seconds))
    whole = min(limits.whole_evaluation_s, 3 * limit + 5)
    fewer = limits.model_copy(update={"time_s": limit, "evaluation_s": whole})
    return replace(task, spec=task.spec.model_copy(update={"limits": fewer}))


def _limit(task: Task, first: float, second: float) -> float:
    """From where on a score is better than the seed's: noise of twice what was seen is allowed."""
    noise = 2 * abs(first - second) + 1e-12 * abs(first)
    return max(first, second) + noise if task.spec.maximize else min(first, second) - noise


async def _try(evaluator: Evaluator, name: str, program: bytes, limit: float) -> Tried:
    task = evaluator.task
    attack = next(attack for attack in ATTACKS if attack.name == name)
    try:
        verdict = await evaluator.evaluate(dict(task.seed) | {task.entry: program},
                                           task.spec.cases_of("search"))
    except ProviderFault as fault:
        raise RunError(f"the sandbox failed: {fault.message}", fault.hint or "evolve doctor"
                       ) from None
    found = [line for row in verdict.rows for line in row.log.splitlines() if line.startswith(FOUND)]
    if found:
        return Tried(attack, None if verdict.failed else verdict.score,
                     found[0].removeprefix(FOUND).strip(), True)
    if verdict.failed is not None:
        row = verdict.failed
        return Tried(attack, None, f"{row.reason}: {row.message}"[:200], False)
    score = verdict.score
    if above_ceiling(task, score):
        return Tried(attack, score, "quarantined: above the proved bound", False)
    better = score > limit if task.spec.maximize else score < limit
    return Tried(attack, score, "", better and not attack.fair)


def _notes(task: Task, first: Verdict, second: Verdict, tried: list[Tried], shared: bool) -> list[str]:
    """What is worth knowing beside the attacks."""
    notes = []
    if shared:
        notes.append(f"{SHARED}: no score of this task can be trusted; let the evaluator import the "
                     "program instead of executing its text")
    text = task.evaluator.read_text(errors="replace")
    timed = _TIMED.search(text) is not None
    if first.score != second.score:
        why = "it measures time" if timed else "it draws random numbers without a seed"
        notes.append(f"not repeatable: {first.score!r}, then {second.score!r}; "
                     + (why if timed or _draws(text) else "the program is random"))
    elif timed:
        notes.append("the evaluator reads a clock: make sure that the score does not depend on it")
    if _CONSTANT_SEED.search(text) or any("seed" in case.params for case in task.spec.cases):
        notes.append("inputs come from a constant seed: a program can contain their answers; "
                     "draw them from case.seed, which no candidate knows")
    if task.spec.ceiling is None:
        notes.append("no ceiling: a proved bound in task.toml catches faults of the scorer")
    return [*notes, *_tolerances(task, second.score, tried)]


def _draws(text: str) -> bool:
    try:
        names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    except SyntaxError:
        return False
    return bool(names & {"random", "randint", "uniform", "shuffle", "normal", "rand"})


def _tolerances(task: Task, seed: float, tried: list[Tried]) -> list[str]:
    """How far numbers may be off before it shows, beside what is left to gain."""
    gains = {t.attack.name: t.score - seed for t in tried if t.attack.fair and t.score is not None}
    sign = 1.0 if task.spec.maximize else -1.0
    paying = {name: sign * gain for name, gain in gains.items() if sign * gain > 0}
    if not paying:
        return []
    name = max(paying, key=lambda key: paying[key])
    known = task.spec.best_known
    left = f"; {abs(known.score - seed):.3g} is left to the best known" if known else ""
    return [f"all numbers times (1 + {name.split()[-1]}) are accepted and gain {paying[name]:.3g}"
            f"{left}: if that is no real improvement, the tolerance is too large"]


def as_data(report: Report) -> dict[str, Any]:
    """The report as JSON."""
    return {"task": report.task.spec.name, "seed": report.seed, "again": report.again,
            "seconds": report.seconds, "evaluator_shared": report.shared, "notes": list(report.notes),
            "paying": len(report.paying),
            "attacks": [{"attack": t.attack.name, "result": t.word, "score": t.score, "said": t.said,
                         "fix": t.attack.fix if t.pays else ""} for t in report.tried]}
