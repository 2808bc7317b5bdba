"""Score the seed twice, then run all attacks on the evaluator in the task's sandbox."""

import ast
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evolve.checking.attacks import (
    ATTACKS,
    CONTROLS,
    NOT_EXECUTED,
    OTHER_RUN,
    Attack,
    armed,
    programs,
)
from evolve.checking.baseline import Baseline, measure, scored
from evolve.checking.hostile import (
    AFTER,
    CODE,
    EXECUTED,
    FOUND,
    REMEMBERED,
    WITHOUT_CONTENT,
)
from evolve.checking.record import record
from evolve.errors import UsageError
from evolve.evaluation.evaluator import Evaluator, Verdict, draw_secret
from evolve.peers.shared import EVALUATOR_SHARED
from evolve.runs.evaluator import open_evaluator
from evolve.tasks import Task
from evolve.text import Note

# time limits of an attack, relative to the seed's time
_SLOWER, _SHORTEST_S, _LONGER_S = 10.0, 3.0, 30.0
_AGAIN = 2  # repetitions of a paying attack if the seed's score varies
_TIMED = re.compile(
    r"\b(perf_counter|time\.time|monotonic|process_time|candidate\.(seconds|time))\b"
)
_TOLERANCE = re.compile(
    r"\b(atol|rtol|abs_tol|rel_tol|allclose|isclose)\b|abs\([^<>\n]{0,80}[<>]"
)
FROM_MEMORY = "calls with the same inputs are answered from memory"
_NAMED = {attack.name: attack for attack in ATTACKS}
_CONSTANT_SEED = re.compile(
    r"(seed|default_rng|RandomState|Random)\s*\(\s*\d+\s*\)|\bseed\s*=\s*\d+"
)


@dataclass(frozen=True)
class Tried:
    """The result of one attack.

    Attributes:
        attack: the attack
        score: None if it was refused
        said: why it was refused, or what it found
        pays: it scored more than the seed, or found something forbidden
        against: 1 better than, 0 as good as, -1 worse than the seed
    """

    attack: Attack
    score: float | None
    said: str
    pays: bool
    against: int = 0

    @property
    def word(self) -> str:
        """The result for a table: PAYS, refused, accepted, no effect or worse."""
        if self.pays:
            return "PAYS"
        if self.score is None:
            return "refused"
        return ("no effect", "accepted", "worse")[self.against]


@dataclass(frozen=True)
class Report:
    """The results of `evolve check`.

    Attributes:
        task: the task
        seed: first score of the seed
        again: second score of the seed
        seconds: duration of the second evaluation
        shared: evaluator and candidate run in one sandbox
        tried: results of the attacks
        notes: further advice
        repeated: attacks repeated the seed's answers instead of computing them
    """

    task: Task
    seed: float
    again: float
    seconds: float
    shared: bool
    tried: tuple[Tried, ...]
    notes: tuple[str, ...]
    repeated: bool

    @property
    def paying(self) -> tuple[Tried, ...]:
        """The results of the attacks that pay, in the order of `tried`; empty if none does."""
        return tuple(tried for tried in self.tried if tried.pays)


async def check(task: Task, sandbox: str, note: Note) -> Report:
    """Attack the task's evaluator.

    Args:
        task: the task
        sandbox: name of the sandbox
        note: called with messages for people

    Returns:
        The report.

    Raises:
        UsageError: an agent task
        TaskError: the seed has no score
    """
    if task.spec.agent is not None:
        raise UsageError(
            "evolve check is for programs, not for agent tasks",
            "test the grading of the task on folders of files",
        )
    with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as file:
        log = Path(file.name)
        secret = draw_secret()  # the same hidden inputs for all
        async with open_evaluator(task, sandbox, 1, log, note, secret) as evaluator:
            first, seeds = evaluator, await measure(evaluator, note)
            shapes = await _shapes(evaluator)
        # all messages were shown by the first evaluator
        quick, silent = _hurried(task, seeds.attack_s), lambda _: None
        answers = await _answers_of_another_run(task, sandbox, log)
        async with open_evaluator(quick, sandbox, 1, log, silent, secret) as evaluator:
            evaluator.know(first)
            firing, tried = _Firing(evaluator, seeds, log, shapes), []
            for name, program in programs(quick, seeds.answers, shapes).items():
                tried.append(await firing.surely(_NAMED[name], program))
                if seeds.slow:  # shows results even if the check is interrupted
                    note(f"{name}: {tried[-1].word}")
            if answers:
                program = armed(quick, "repeated", answers)
                tried.append(await firing.surely(OTHER_RUN, program))
            hidden = await firing.hidden(tried)
    shared = any(EVALUATOR_SHARED in row.metrics for row in seeds.first.rows)
    return Report(
        task,
        seeds.first.score,
        seeds.second.score,
        seeds.seconds,
        shared,
        tuple(tried),
        (*_notes(task, seeds, tried, shared), *hidden),
        bool(seeds.answers),
    )


async def _shapes(evaluator: Evaluator) -> tuple[str, ...]:
    """Return the seed's answers, as models of answers without content."""
    if not evaluator.task.entry.endswith(".py"):
        return ()
    recording = await record(evaluator)
    return recording.answers if recording.verdict.failed is None else ()


async def _answers_of_another_run(
    task: Task, sandbox: str, log: Path
) -> tuple[str, ...]:
    """Return the seed's answers to other hidden inputs, if the task measures time.

    An answer that is right again belongs to an input that never changes.
    """
    if not _reads_a_clock(task) or not task.entry.endswith(".py"):
        return ()
    async with open_evaluator(
        task, sandbox, 1, log, lambda _: None, draw_secret()
    ) as evaluator:
        recording = await record(evaluator)
    return () if recording.verdict.failed is not None else recording.answers


def _reads_a_clock(task: Task) -> bool:
    """Return whether the evaluator measures time."""
    text = task.evaluator.read_text(errors="replace")
    return task.spec.timing is not None or _TIMED.search(text) is not None


def _hurried(task: Task, seconds: float) -> Task:
    """Return the task with shorter limits, so that an attack that hangs ends soon."""
    limits = task.spec.limits
    patience = max(_SHORTEST_S, min(_SLOWER * seconds, seconds + _LONGER_S))
    limit = min(limits.time_s, patience)
    whole = min(limits.whole_evaluation_s, 3 * limit + 5)
    fewer = limits.model_copy(update={"time_s": limit, "evaluation_s": whole})
    return replace(task, spec=task.spec.model_copy(update={"limits": fewer}))


@dataclass(frozen=True)
class _Firing:
    """Attacks on one evaluator, compared with the scores of its seed."""

    evaluator: Evaluator
    seeds: Baseline
    log: Path
    shapes: tuple[str, ...]

    async def surely(self, attack: Attack, program: bytes) -> Tried:
        """Try an attack; luck does not pay, nor does a gain of an honest answer."""
        tried = await self.once(attack, program)
        for _ in range(_AGAIN if self.seeds.spread else 0):
            if tried.pays and tried.said in ("", FROM_MEMORY):
                tried = await self.once(attack, program)
        if attack.name in WITHOUT_CONTENT:
            return await self._without_content(tried)
        control = CONTROLS.get(attack.name)
        if control and tried.pays and self._is_python:
            honest = armed(self.evaluator.task, control, self.seeds.answers)
            if (await self.once(replace(attack, name=control), honest)).pays:
                gets = "get as much as" if attack.empty else "get more than"
                said = f"{control} {gets} the seed, too"
                return replace(tried, pays=False, said=said)
        return tried

    async def _without_content(self, tried: Tried) -> Tried:
        """Return the result; an answer that gains by its content is not a cheat."""
        name = f"{tried.attack.name}{AFTER}"
        if not tried.pays:
            return tried
        program = armed(self.evaluator.task, name, self.shapes)
        if not (await self.once(replace(tried.attack, name=name), program)).pays:
            return replace(tried, said=_tolerance_in(self.evaluator.task))
        said = "such answers are better than the seed's, or a tolerance takes any"
        return replace(
            tried, pays=False, said=f"{said}{_tolerance_in(self.evaluator.task)}"
        )

    async def hidden(self, tried: list[Tried]) -> list[str]:
        """Return a note if the seed's score equals that of a failing program."""
        kept = any(t.attack.name == "nothing" and t.word == "no effect" for t in tried)
        if not kept or not self._is_python:
            return []
        broken = await self.once(
            Attack("raises", ""), armed(self.evaluator.task, "raises")
        )
        return (
            []
            if broken.word != "no effect"
            else [
                "a program that only raises scores as much as the seed: refused attacks with that "
                "score look as if they had no effect; start from a better program"
            ]
        )

    @property
    def _is_python(self) -> bool:
        return self.evaluator.task.entry.endswith(".py")

    async def once(self, attack: Attack, program: bytes) -> Tried:
        before = self.log.stat().st_size
        verdict, task = await scored(self.evaluator, program), self.evaluator.task
        found = _found(verdict, self.log.read_bytes()[before:].decode(errors="replace"))
        if found:
            return Tried(attack, None if verdict.failed else verdict.score, found, True)
        if verdict.failed is not None:
            row = verdict.failed
            return Tried(attack, None, f"{row.reason}: {row.message}"[:200], False)
        score, maximize = verdict.score, task.spec.maximize
        if task.above_ceiling(score):
            return Tried(attack, score, "quarantined: above the proved bound", False, 1)
        if self.seeds.worse(score, maximize):
            return Tried(attack, score, verdict.feedback[:200], False, -1)
        better = self.seeds.better(score, maximize)
        said = ""
        if any(REMEMBERED in row.log for row in verdict.rows):
            said = FROM_MEMORY
        if better and attack.name in CODE:
            attack = replace(attack, fix=NOT_EXECUTED)
        pays = (better or attack.empty) and not attack.fair
        return Tried(attack, score, said, pays, int(better))


def _tolerance_in(task: Task) -> str:
    """Name the first line of the evaluator that looks like a tolerance."""
    lines = task.evaluator.read_text(errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if _TOLERANCE.search(line):
            return f" ({task.evaluator.name}:{number}: {line.strip()[:100]})"
    return ""


def _found(verdict: Verdict, printed: str) -> str:
    """Return a forbidden finding of the program, or that its answer was executed."""
    shared = [row.log for row in verdict.rows if EVALUATOR_SHARED in row.metrics]
    if EXECUTED in "\n".join((printed, *shared)).splitlines():
        return "the scorer executed an answer of the program"
    logs = "\n".join(row.log for row in verdict.rows).splitlines()
    return next(
        (line.removeprefix(FOUND).strip() for line in logs if line.startswith(FOUND)),
        "",
    )


def _notes(task: Task, seeds: Baseline, tried: list[Tried], shared: bool) -> list[str]:
    """Return advice apart from the attacks."""
    notes = []
    if shared:
        notes.append(
            f"{EVALUATOR_SHARED}: no score of this task can be trusted; let the evaluator "
            "import the program instead of executing its text"
        )
    text = task.evaluator.read_text(errors="replace")
    timed = _TIMED.search(text) is not None and task.spec.timing is None
    if seeds.varies:
        notes.append(
            f"not repeatable: {seeds.first.score!r}, then {seeds.second.score!r}; "
            + _why_it_varies(seeds, timed, _draws(text))
        )
    elif timed:
        notes.append(
            "the evaluator reads a clock: make sure that the score does not depend on it"
        )
    if _CONSTANT_SEED.search(text) or any(
        "seed" in case.params for case in task.spec.cases
    ):
        notes.append(
            "inputs come from a constant seed: a program can contain their answers; "
            "draw them from case.seed, which no candidate knows"
        )
    if task.spec.ceiling is None:
        notes.append(
            "no ceiling: a proved bound in task.toml catches faults of the scorer"
        )
    return [*notes, *_tolerances(task, seeds, tried)]


def _why_it_varies(seeds: Baseline, timed: bool, draws: bool) -> str:
    if seeds.is_luck:
        return "the program is random: its answers, repeated, score the same"
    if timed:
        return "it measures time, or the program is random"
    return (
        "it draws random numbers without a seed" if draws else "the program is random"
    )


def _draws(text: str) -> bool:
    try:
        names = {
            node.attr
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Attribute)
        }
    except SyntaxError:
        return False
    return bool(names & {"random", "randint", "uniform", "shuffle", "normal", "rand"})


def _tolerances(task: Task, seeds: Baseline, tried: list[Tried]) -> list[str]:
    """Return a note on accepted errors of numbers, compared with the possible gain."""
    seed = max(seeds.scores) if task.spec.maximize else min(seeds.scores)
    paying = {
        t.attack.name: abs(t.score - seed)
        for t in tried
        if t.attack.fair and t.score is not None and t.against > 0
    }
    if not paying:
        return []
    name = max(paying, key=lambda key: paying[key])
    known = task.spec.best_known
    left = f"; the best known is {abs(known.score - seed):.3g} better" if known else ""
    return [
        f"all numbers times (1 + {name.split()[-1]}) are accepted and gain {paying[name]:.3g}"
        f"{left}: if that is not a real improvement, the tolerance is too large"
    ]


def as_data(report: Report) -> dict[str, Any]:
    """Return the report as plain data.

    Args:
        report: the report

    Returns:
        Values that JSON can hold.
    """
    return {
        "task": report.task.spec.name,
        "seed": report.seed,
        "again": report.again,
        "seconds": report.seconds,
        "repeated": report.repeated,
        "evaluator_shared": report.shared,
        "notes": list(report.notes),
        "paying": len(report.paying),
        "attacks": [
            {
                "attack": t.attack.name,
                "result": t.word,
                "score": t.score,
                "said": t.said,
                "fix": t.attack.fix if t.pays else "",
            }
            for t in report.tried
        ],
    }
