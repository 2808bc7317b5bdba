"""The parts of a run on a bench: a real archive, git and sandbox, and replies from recorded calls."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evolve.archive import (
    SEED,
    Call,
    CallPurpose,
    CallState,
    Decision,
    Evaluation,
    Proposal,
    State,
    derive_id,
)
from evolve.config import Settings
from evolve.engine.control import Interrupt, SteeringHandler
from evolve.engine.decisions import Decider
from evolve.engine.loop import Engine
from evolve.engine.ordering import AsFinished, Order
from evolve.engine.progress import Progress
from evolve.engine.proposer import NoveltyGate, Proposer
from evolve.engine.recorder import Recorder
from evolve.engine.services import Control, Notes, Services
from evolve.evaluation.evaluator import Evaluator
from evolve.models import Models, ReplayedModels
from evolve.operators import make_operator
from evolve.operators.person import Person
from evolve.operators.templates import Prompts
from evolve.sandbox import Pool, SandboxSpec
from evolve.sandbox.limits import Limits
from evolve.sandbox.local import LocalProvider
from evolve.sandbox.process_box import ProcessBox
from evolve.sandbox.provider import Box
from evolve.search import Action, Expand, Stop, make_frame
from evolve.tasks import Task, load_task
from tests.made_runs import opened_recorder

RUN_SEED = 0
SEED_ID = derive_id(RUN_SEED, 0)
SEED_SCORE = 1.0
LAST_WORDS = "nothing is left to decide"


def program(value: float | str, before: str = "") -> str:
    """A candidate that says a number; `before` runs first."""
    return f"def value():\n    {before or 'pass'}\n    return {value}\n"


def make_task(folder: Path) -> Task:
    """A task whose score is the number that the candidate says."""
    (folder / "initial").mkdir(parents=True)
    (folder / "initial" / "program.py").write_text(program(SEED_SCORE))
    (folder / "evaluate.py").write_text(
        "def evaluate(candidate, case):\n    return float(candidate.call('value'))\n"
    )
    (folder / "task.toml").write_text(
        'name = "numbers"\ndescription = "Say a large number."\n[limits]\ntime_s = 10\n'
    )
    return load_task(folder)


def reply(
    number: int, text: str, purpose: CallPurpose = CallPurpose.PROPOSE, step: int = 0
) -> Call:
    """A recorded answer of a model to a decision: the whole new program."""
    return Call(
        0,
        derive_id(RUN_SEED, number),
        purpose,
        0,
        "recorded",
        "{}",
        CallState.REPLIED,
        0,
        0.0,
        reply=f"I say another number.\n```python\n{text}```\n",
        finish_reason="stop",
        step=step,
    )


def replies(*programs: str) -> ReplayedModels:
    """Answers to the decisions 1, 2, ..."""
    return ReplayedModels(
        [reply(number, text) for number, text in enumerate(programs, 1)]
    )


@dataclass
class Rewrites:
    """Decides to rewrite the seed until so many decisions were taken; then nothing is left."""

    count: int
    # how many were scored at each decision
    seen: list[int] = field(default_factory=list)

    def decide(self, number: int, snapshot: object) -> Action:
        if number > self.count:
            return Stop(LAST_WORDS)
        self.seen.append(len(snapshot))  # type: ignore[arg-type]
        return Expand((SEED_ID,), "rewrite", model="recorded")


@dataclass
class Seen:
    """Listens to a run, and keeps what it is told."""

    finished_: list[tuple[int, State, float | None]] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def finished(
        self, proposal: Proposal, score: float | None, progress: Progress
    ) -> None:
        self.finished_.append((proposal.number, proposal.state, score))
        self.in_flight.append(progress.in_flight)

    def waiting(self, message: str) -> None:
        self.messages.append(message)


class FailingMachine(LocalProvider):
    """Kills the first boxes that it starts, as an out-of-memory killer does."""

    kills = 0

    async def start(self) -> Box:
        box = await super().start()
        if self.kills > 0:
            self.kills -= 1
            assert isinstance(box, ProcessBox)
            os.killpg(box.process.pid, signal.SIGKILL)
        return box


@dataclass
class Bench:
    """A run in which the seed is scored; parts are made as `evolve.runs.launch` makes them."""

    folder: Path
    task: Task
    settings: Settings
    recorder: Recorder
    provider: FailingMachine
    evaluator: Evaluator
    seen: Seen = field(default_factory=Seen)
    interrupt: Interrupt = field(default_factory=Interrupt)

    def services(self, models: Models, order: Order | None = None) -> Services:
        return Services(
            self.task,
            self.settings,
            self.recorder,
            models,
            Prompts(),
            order or AsFinished(self.recorder.trees),
        )

    def proposer(
        self,
        models: Models,
        order: Order | None = None,
        gate: NoveltyGate | None = None,
    ) -> Proposer:
        operators = {name: make_operator(name) for name in ("rewrite", "syntactic")}
        operators["person"] = Person()
        return Proposer(self.services(models, order), operators, gate=gate)

    def engine(
        self,
        decider: Decider,
        models: Models,
        order: Order | None = None,
        notes: Notes | None = None,
        steward: SteeringHandler | None = None,
    ) -> Engine:
        order = order or AsFinished(self.recorder.trees)
        return Engine(
            self.services(models, order),
            decider,
            self.proposer(models, order),
            self.evaluator,
            Control(self.seen, self.interrupt, steward, notes),
        )

    async def plan(self, operator: str = "rewrite", **decision: object) -> Proposal:
        """The next proposal, as a decision leaves it."""
        number, snapshot = self.recorder.last_number + 1, self.recorder.snapshot
        made = Proposal(
            derive_id(RUN_SEED, number),
            number,
            State.PLANNED,
            operator,
            (SEED_ID,) if number else (),
            snapshot.last_event,
            1.0,
            decision=Decision(**decision),  # type: ignore[arg-type]
        )
        await self.recorder.plan(made)
        return made

    async def scored(self, text: str, score: float) -> Proposal:
        """One more variant with a score that is given, not measured."""
        planned = (
            await self.plan() if len(self.recorder.snapshot) else await self.plan(SEED)
        )
        files = {"program.py": text.encode()}
        stored = await self.recorder.propose(
            planned, await self.recorder.tree_of(files), "a number"
        )
        return await self.recorder.score(
            stored, files, score, [Evaluation("main", "search", 0, score)], False
        )

    def states(self) -> dict[int, tuple[State, str | None]]:
        """Of all proposals but the seed, as the archive has them: the state, and why not."""
        return {
            p.number: (p.state, p.reason)
            for p in self.recorder.archive.proposals()
            if p.number
        }

    def events(self, proposal: int) -> list[str]:
        """What happened to a proposal, the first first."""
        name = derive_id(RUN_SEED, proposal)
        return [
            event.kind
            for event in self.recorder.archive.events()
            if event.proposal == name
        ]


@asynccontextmanager
async def opened(folder: Path, **settings: object) -> AsyncIterator[Bench]:
    """A bench in a folder; what is there goes on."""
    if not (folder / "task").exists():
        make_task(folder / "task")
    task = load_task(folder / "task")
    chosen = Settings.model_validate(
        {"workers": 2, "patience_s": 10.0, "seed": RUN_SEED} | settings
    )
    facts = {"evaluator": "e", "seed": str(RUN_SEED)}
    async with opened_recorder(folder, facts, make_frame(task, chosen)) as recorder:
        provider = FailingMachine(SandboxSpec(Limits(time_s=10.0)))
        pool = Pool(provider, chosen.workers)
        evaluator = Evaluator(task, pool, folder / "scorer.log")
        bench = Bench(folder, task, chosen, recorder, provider, evaluator)
        try:
            if not len(recorder.snapshot):
                await bench.scored(task.seed["program.py"].decode(), SEED_SCORE)
            yield bench
        finally:
            await evaluator.close()


def numbers(states: Sequence[tuple[int, State, float | None]]) -> list[int]:
    """Of what a listener heard."""
    return [number for number, _, _ in states]
