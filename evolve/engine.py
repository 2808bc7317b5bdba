"""The loop: decide, propose, check, evaluate, record. It never waits for one candidate alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from archive import Proposal, Spend, State, derive_id
from evolve.config import Settings
from evolve.errors import RunError
from evolve.evaluation import Evaluator, EvaluatorBroken, Verdict
from evolve.operators import Child, Context, Evidence, Operator, Parent, Rejected
from evolve.operators.checks import check_child
from evolve.recorder import Recorder
from evolve.search import Expand, Policy, Stop
from evolve.tasks import Task
from sandbox import ProviderFault

FAULT_PATIENCE_S = 120.0  # how long a machine's fault is waited out, all tries together
REJECTIONS_IN_A_ROW = 300  # then the operators have nothing new to offer
FAILURES_SHOWN = 3


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    scored: int
    failed: int
    rejected: int
    in_flight: int
    best: Proposal | None
    best_score: float | None
    spend: Spend
    seconds: float

    @property
    def variants(self) -> int:
        """What counts against --max-variants."""
        return self.scored + self.failed


class Listener(Protocol):
    """Who watches a run."""

    def finished(self, proposal: Proposal, score: float | None, progress: Progress) -> None:
        """A proposal is scored, failed or rejected."""

    def waiting(self, message: str) -> None:
        """The machine failed; the run waits and tries again."""


class OutOfBudget(Exception):
    """The next model call does not fit into the budget; raised before it is made."""


@dataclass
class Interrupt:
    """Set by the user: drain what runs, then stop."""

    requested: bool = False


class Engine:
    """Runs one evolution from where its archive stands."""

    def __init__(self, task: Task, settings: Settings, policy: Policy,
                 operators: Mapping[str, Operator], recorder: Recorder, evaluator: Evaluator,
                 listener: Listener, interrupt: Interrupt) -> None:
        self.task, self.settings, self.policy = task, settings, policy
        self.operators, self.recorder, self.evaluator = operators, recorder, evaluator
        self.listener, self.interrupt = listener, interrupt
        self._started = time.monotonic()
        self._in_flight = 0
        self._next = 1
        self._rejections = 0
        self._halt: str | None = None  # why nothing new is begun
        self._changed = asyncio.Event()
        self._evaluations = asyncio.Semaphore(settings.workers)

    async def run(self) -> str:
        """Go on until a limit is reached; returns which. Raises `RunError`, all of it resumable."""
        proposals = self.recorder.archive.proposals()
        self._next = max(p.number for p in proposals) + 1
        try:
            async with asyncio.TaskGroup() as group:
                for proposal in self.recorder.unfinished():
                    self._launch(group, proposal)
                await self._fill_slots(group)
        except* (EvaluatorBroken, RunError, ProviderFault) as faults:
            raise _first(faults) from None
        return self._halt or self._limit_reached() or "done"

    async def _fill_slots(self, group: asyncio.TaskGroup) -> None:
        slots = self.settings.workers + self._slots_for_models()
        while not (self._halted() or self._limit_reached()):
            if self._in_flight < slots and self._may_begin():
                proposal = await self._decide()
                if proposal is not None:
                    self._launch(group, proposal)
                continue
            self._changed.clear()
            await self._wait_for_change()

    def _slots_for_models(self) -> int:
        asks = any(operator.needs_model for operator in self.operators.values())
        return self.settings.model_calls if asks else self.settings.workers

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(0.2):  # an interrupt or the clock may come meanwhile
                await self._changed.wait()
        except TimeoutError:
            return

    def _halted(self) -> bool:
        if self._halt is None:
            if self.interrupt.requested:
                self._halt = "interrupted"
            elif self._rejections >= REJECTIONS_IN_A_ROW:
                self._halt = f"the last {self._rejections} proposals were rejected"
            elif self.settings.max_time_s is not None and self._seconds() > self.settings.max_time_s:
                self._halt = f"max_time_s = {self.settings.max_time_s:g} is reached"
        return self._halt is not None

    def _limit_reached(self) -> str | None:
        most = self.settings.max_variants
        if most is not None and self.progress().variants >= most:
            return f"max_variants = {most} is reached"
        return None

    def _may_begin(self) -> bool:
        """True when one more in flight can't pass --max-variants."""
        most = self.settings.max_variants
        return most is None or self.progress().variants + self._in_flight < most

    def _launch(self, group: asyncio.TaskGroup, proposal: Proposal) -> None:
        self._in_flight += 1
        group.create_task(self._carry_through(proposal), name=f"proposal {proposal.number}")

    async def _decide(self) -> Proposal | None:
        number, self._next = self._next, self._next + 1
        snapshot = self.recorder.snapshot
        decision = self.policy.decide(snapshot, np.random.default_rng([self.settings.seed, number]))
        if isinstance(decision, Stop):
            self._halt = decision.reason
            return None
        proposal = plan_proposal(decision, self.settings.seed, number, snapshot.last_event)
        await self.recorder.plan(proposal)
        return proposal

    async def _carry_through(self, proposal: Proposal) -> None:
        """One proposal from where it stands to its end."""
        try:
            done, score = await self._finish(proposal)
        except OutOfBudget as error:
            self._halt = str(error)
            return
        finally:
            self._in_flight -= 1
            self._changed.set()
        self._rejections = self._rejections + 1 if done.state is State.REJECTED else 0
        self.listener.finished(done, score, self.progress())

    async def _finish(self, proposal: Proposal) -> tuple[Proposal, float | None]:
        if proposal.tree is None:
            try:
                proposal, files = await self._propose(proposal)
            except Rejected as why:
                return await self.recorder.reject(proposal, why.reason, why.message), None
        else:
            files = await self.recorder.files(proposal.tree)
        return await self._evaluate(proposal, files)

    async def _propose(self, proposal: Proposal) -> tuple[Proposal, Mapping[str, bytes]]:
        parents = tuple([await self.recorder.parent(parent) for parent in proposal.parents])
        context = Context(
            self.task, parents, np.random.default_rng([self.settings.seed, proposal.number, 1]),
            await self._evidence(proposal))
        child = await self.operators[proposal.operator].propose(context)
        check_child(self.task, parents, child)
        return await self._store(proposal, child), child.files

    async def _store(self, proposal: Proposal, child: Child) -> Proposal:
        tree = await self.recorder.tree_of(child.files)
        known = self.recorder.duplicate_of(tree)
        if known is not None:
            raise Rejected("duplicate", f"the same files as {known}")
        return await self.recorder.propose(proposal, child.files, tree, child.note)

    async def _evidence(self, proposal: Proposal) -> Evidence:
        if not self.operators[proposal.operator].needs_model:
            return Evidence()
        top = self.recorder.snapshot.top(FAILURES_SHOWN)
        inspirations: list[Parent] = [await self.recorder.parent(p.id) for p in top
                                      if p.id not in proposal.parents]
        failures = await self.recorder.failures_of(proposal.parents[0], FAILURES_SHOWN)
        return Evidence(tuple(inspirations[:2]), failures)

    async def _evaluate(self, proposal: Proposal, files: Mapping[str, bytes]
                        ) -> tuple[Proposal, float | None]:
        async with self._evaluations:
            await self.recorder.evaluating(proposal)
            verdict = await self._verdict(proposal, files)
        if verdict.failed is not None:
            return await self.recorder.fail(proposal, verdict.failed, verdict.rows), None
        done = await self.recorder.score(proposal, files, verdict.score, verdict.rows,
                                         above_ceiling(self.task, verdict.score))
        return done, verdict.score

    async def _verdict(self, proposal: Proposal, files: Mapping[str, bytes]) -> Verdict:
        """Evaluate; a machine's fault is waited out with back-off, and never a score."""
        cases = self.task.spec.cases_of("search")
        pause, deadline = 0.5, time.monotonic() + FAULT_PATIENCE_S
        while True:
            try:
                return await self.evaluator.evaluate(files, cases)
            except ProviderFault as fault:
                await self.recorder.release(proposal)
                if time.monotonic() + pause > deadline:
                    raise RunError(f"the sandbox failed for {FAULT_PATIENCE_S:g} s: "
                                   f"{fault.message}", fault.hint or "evolve doctor") from None
                self.listener.waiting(f"the sandbox failed ({fault.message}); "
                                      f"trying again in {pause:g} s")
                await asyncio.sleep(pause)
                pause = min(2 * pause, 20.0)

    def progress(self) -> Progress:
        """Where the run stands now."""
        counts, best = self.recorder.counts, self.recorder.snapshot.best()
        return Progress(counts.get(State.SCORED, 0), counts.get(State.FAILED, 0),
                        counts.get(State.REJECTED, 0), self._in_flight, best,
                        self.recorder.snapshot.score_of(best.id) if best else None,
                        self.recorder.spend, self._seconds())

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def plan_proposal(decision: Expand, seed: int, number: int, seen: int) -> Proposal:
    """The proposal of a decision; its id follows from the run's seed and the number."""
    return Proposal(derive_id(seed, number), number, State.PLANNED, decision.operator,
                    decision.parents, seen, time.time())


def above_ceiling(task: Task, score: float) -> bool:
    """True for a score better than the task's proved bound: a fault of the scorer, not a find."""
    ceiling = task.spec.ceiling
    if ceiling is None:
        return False
    return score > ceiling if task.spec.maximize else score < ceiling


def _first(faults: BaseExceptionGroup[Exception]) -> Exception:
    found: BaseException = faults
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Exception)
    return found if not isinstance(found, ProviderFault) else RunError(found.message, found.hint)

