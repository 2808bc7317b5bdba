"""Runs of any size for tests of views: rows in bulk, code in git, as an engine would have left them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from evolve.archive import (
    TOKENS,
    Archive,
    CallPurpose,
    CodeStore,
    Frame,
    derive_id,
    embed,
    measure_code,
    pack_vector,
    schema,
)
from evolve.archive.reader import pack_text
from evolve.config import Settings
from evolve.engine.recorder import Recorder
from evolve.runs.folder import RunFolder, create_run
from evolve.tasks import load_task

BEGAN, LIMIT = 1_760_000_000.0, 3.0
HOSTILE = (
    '<script>window.hacked=1</script><img src=x onerror="window.hacked=2">'
    "\"'`${window.hacked=3}</script><!-- {{7*7}} \x1b[31m\u202e ]]>"
)
OPERATORS, MODELS = ("diff", "rewrite", "crossover"), ("openai/small", "openai/large")


@dataclass(frozen=True)
class Made:
    """What a made run is like."""

    variants: int = 60
    seed: int = 0
    cases: int = 1
    hostile: bool = False
    calls: bool = True
    islands: int = 2
    rounds: bool = False  # embeddings, judges and notes, too


def make_task(folder: Path, cases: int = 1, name: str = "numbers") -> Path:
    """A task that is never run here."""
    (folder / "initial").mkdir(parents=True)
    (folder / "initial" / "program.py").write_text(program(0, 1.0))
    (folder / "evaluate.py").write_text(
        "def evaluate(candidate, case):\n    return {'score': 1.0}\n"
    )
    toml = f'name = "{name}"\ndescription = "Raise the number."\n'
    toml += (
        "".join(f'[[cases]]\nid = "case-{n}"\n' for n in range(cases))
        if cases > 1
        else ""
    )
    (folder / "task.toml").write_text(toml)
    return folder


def program(number: int, value: float) -> str:
    """A little program; neighbours in number have nearly the same."""
    steps = "".join(
        f"    total += {(number // (n + 1)) % 7} * x ** {n}\n"
        for n in range(6 + number % 13)
    )
    steps += "".join(
        f"    if x > {n}:\n        total += x\n" for n in range(number // 13 % 5)
    )
    return (
        f"# variant {number}\ndef answer(x):\n    total = {value!r}\n{steps}"
        f"    return total\n"
    )


def make_run(runs_dir: Path, name: str, made: Made) -> RunFolder:
    """A finished run of so many variants, the seed not counted."""
    folder = runs_dir.parent / f".task-{name}"
    task = load_task(make_task(folder, made.cases))
    settings = Settings(runs_dir=runs_dir, seed=made.seed, islands=made.islands)
    run = create_run(
        runs_dir,
        name,
        task,
        settings,
        lambda new: Recorder.create(
            new.database,
            new.code,
            {"evaluator": task.evaluator_hash, "seed": str(made.seed)},
        ),
    )
    archive, code = Archive.open_to_write(run.database), CodeStore.open(run.code)
    with archive.together():
        _Filling(archive, code, made).fill()
    archive.clock = lambda: BEGAN + 2.0 * (made.variants + 1)
    archive.note_event("started", {"sandbox": "docker"})
    archive.note_event(
        "stopped", {"reason": f"max_variants = {made.variants} is reached"}
    )
    archive.close()
    return run


@asynccontextmanager
async def opened_recorder(
    folder: Path, facts: Mapping[str, str] | None = None, frame: Frame | None = None
) -> AsyncIterator[Recorder]:
    """The writer of an archive and a repository in a folder; what is there goes on."""
    folder.mkdir(exist_ok=True)
    database, code = folder / "archive.db", folder / "code.git"
    if not database.exists():
        Recorder.create(database, code, facts or {})
    archive, store = Archive.open_to_write(database), CodeStore.open_to_write(code)
    recorder = Recorder(archive, store, True, frame)
    try:
        yield recorder
    finally:
        await recorder.close()


class _Filling:
    """Writes proposals in the order of their decisions; each is finished before the next."""

    def __init__(self, archive: Archive, code: CodeStore, made: Made) -> None:
        self.archive, self.code, self.made = archive, code, made
        self.rng = np.random.default_rng(made.seed)
        self.scores: dict[int, float] = {}
        self.latest: list[int] = []  # scored ones
        self.commits: dict[int, str] = {}
        self.best, self.event = -1e9, 0
        self.leaders: list[int] = []
        self.tables: dict[Any, list[dict[str, Any]]] = {}

    def fill(self) -> None:
        for number in range(self.made.variants + 1):
            self._one(number)
        for table in (
            schema.proposals,
            schema.parents,
            schema.evaluations,
            schema.calls,
            schema.events,
            schema.vectors,
        ):
            self._write(table, self.tables.get(table, ()))

    def _write(self, table: Any, rows: Iterable[dict[str, Any]]) -> None:
        rows = list(rows)
        with self.archive._writing() as connection:
            for start in range(0, len(rows), 2000):
                connection.execute(insert(table), rows[start : start + 2000])

    def _put(self, table: Any, **row: Any) -> None:
        self.tables.setdefault(table, []).append(row)

    def _one(self, number: int) -> None:
        made, rng = self.made, self.rng
        parents = self._parents(number)
        base = self.scores[parents[0]] if parents else 1.0
        step = (
            float(rng.exponential(0.04))
            if rng.random() < 0.18
            else -float(rng.exponential(0.2))
        )
        score = round(base + (LIMIT - base) * step if step > 0 else base + step, 6)
        state = (
            "scored"
            if number == 0 or rng.random() < 0.8
            else ("failed" if rng.random() < 0.6 else "rejected")
        )
        self._row(number, parents, state, score if number else 1.0)
        if state == "scored":
            for case in range(made.cases):
                self._evaluation(
                    number, case, score + (case % 3 - 1) * 0.1 * (made.cases > 1)
                )
            self.scores[number] = score
            self.latest.append(number)
        if made.calls and number:
            self._call(number)
        if made.rounds:
            self._call(
                number, CallPurpose.EMBED, {"input": f"program {number}"}, "[0.25, 0.5]"
            )
            self._call(
                number,
                CallPurpose.JUDGE if number else CallPurpose.NOTES,
                None,
                "They differ.",
            )

    def _parents(self, number: int) -> list[int]:
        if not number:
            return []
        ranked = sorted(
            {*self.latest[-150:], *self.leaders[-6:]}, key=lambda n: -self.scores[n]
        )
        first = ranked[min(int(self.rng.exponential(9)), len(ranked) - 1)]
        other = ranked[int(self.rng.integers(len(ranked)))]
        return (
            [first, other]
            if self._operator(number) == "crossover" and other != first
            else [first]
        )

    def _operator(self, number: int) -> str:
        return OPERATORS[number % 3] if number else "seed"

    def _row(self, number: int, parents: list[int], state: str, score: float) -> None:
        made, name = self.made, derive_id(self.made.seed, number)
        text = program(number, score)
        if made.hostile:
            text += f"# {HOSTILE}\n"
        files = {"program.py": text.encode()}
        tree = commit = kept = improvement = None
        if state != "rejected":
            tree, commit = self.code.commit(
                files, [self.commits[p] for p in parents], f"v {number}"
            )
            self.commits[number] = commit
        if state == "scored":
            kept = "best" if score > self.best else "kept"
            improvement = score - self.scores[parents[0]] if parents else None
            if score > self.best:
                self.best = score
                self.leaders.append(number)
        at = BEGAN + 2.0 * number
        bad = (
            None
            if state == "scored"
            else "timeout"
            if state == "failed"
            else "duplicate"
        )
        extra = f" {HOSTILE}" if made.hostile else ""
        self.event += 2
        self._put(
            schema.events,
            id=self.event - 1,
            at=at,
            kind="planned",
            proposal=name,
            data=json.dumps({"number": number}),
        )
        self._put(
            schema.events,
            id=self.event,
            at=at + 1.5,
            kind=state,
            proposal=name,
            data="{}",
        )
        self._put(
            schema.proposals,
            id=name,
            number=number,
            state=state,
            operator=self._operator(number),
            as_of_event=self.event - 2,
            created_at=at,
            tree=tree,
            commit=commit,
            note=f"change {number}{extra}",
            reason=bad,
            kept=kept,
            improvement=improvement,
            message=f"it took too long{extra}" if bad else "",
            log=f"a log{extra}" if bad else "",
            novelty=round(float(self.rng.random()), 6) if kept else None,
            quarantined=False,
            finished_at=at + 1.5,
            finished_event=self.event,
            island=number % made.islands,
            model=MODELS[number % 2] if made.calls and number else None,
            decision="{}",
            kind="expand",
            measures=json.dumps(measure_code(files)) if kept else "{}",
        )
        if kept:
            self._put(
                schema.vectors,
                proposal=name,
                source=TOKENS,
                data=pack_vector(embed(files)),
            )
        for position, parent in enumerate(parents):
            self._put(
                schema.parents,
                child=name,
                position=position,
                parent=derive_id(made.seed, parent),
            )

    def _evaluation(self, number: int, case: int, score: float) -> None:
        extra = HOSTILE if self.made.hostile else ""
        self._put(
            schema.evaluations,
            proposal=derive_id(self.made.seed, number),
            case_id=f"case-{case}" if self.made.cases > 1 else "main",
            split="search",
            attempt=0,
            score=score,
            metrics=json.dumps({"steps": number, f"seen{extra}": extra or "yes"}),
            feedback=f"feedback {extra}",
            log="",
            reason=None,
            message="",
            seconds=0.25,
            cpu_s=0.2,
            peak_memory_bytes=20_000_000,
            cost_usd=0.0,
            evaluator="e",
            created_at=BEGAN,
        )

    def _call(
        self,
        number: int,
        purpose: CallPurpose = CallPurpose.PROPOSE,
        request: dict[str, Any] | None = None,
        reply: str = "",
    ) -> None:
        extra = HOSTILE if self.made.hostile else ""
        request = request or {
            "messages": [
                {"role": "system", "content": "You improve programs."},
                {"role": "user", "content": f"Improve this. {extra}"},
            ]
        }
        self._put(
            schema.calls,
            proposal=derive_id(self.made.seed, number),
            purpose=purpose.value,
            step=0 if number else 20,
            attempt=0,
            model=MODELS[number % 2],
            state="replied",
            request=pack_text(json.dumps(request)),
            reply=pack_text(reply or f"I change line {number}. {extra}"),
            reserved_tokens=500,
            reserved_usd=0.01,
            finish_reason="stop",
            prompt_tokens=300,
            completion_tokens=80,
            cost_usd=0.002,
            error=None,
            sent_at=BEGAN,
            seconds=1.25,
        )
