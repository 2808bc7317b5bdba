"""The loop: decide, propose, check, evaluate, record. It never waits for one candidate alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from archive import EVALUATE, ArchiveError, Proposal, Snapshot, Spend, State, derive_id
from evolve.config import Settings
from evolve.errors import EvolveError, RunError
from evolve.evaluation import Evaluator, Verdict
from evolve.llm import OutOfBudget
from evolve.operators import Rejected
from evolve.proposer import Proposer, Stored
from evolve.recorder import Recorder
from evolve.search import Decision, Evaluate, Expand, Policy, Skip, Stop
from evolve.tasks import CaseSpec, Task
from sandbox import ProviderFault

FAULT_PATIENCE_S = 120.0  # how long a machine's fault is waited out, all tries together
FAILURES_SHOWN = 3
REJECTIONS_IN_A_ROW = 300  # then the operators have nothing new to offer


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


class Decider(Protocol):
    """Decides on a numbered slot."""

    def decide(self, number: int, snapshot: Snapshot) -> Decision | Skip | None:
        """None: not yet, something that runs must end first."""


@dataclass(frozen=True)
class PolicyDecider:
    """A policy with the generator of (run seed, decision number)."""

    policy: Policy
    seed: int

    def decide(self, number: int, snapshot: Snapshot) -> Decision:
        """What the policy says."""
        return self.policy.decide(snapshot, np.random.default_rng([self.seed, number]))


@dataclass
class Interrupt:
    """Set by the user: drain what runs, then stop."""

    requested: bool = False


class Engine:
    """Runs one evolution from where its archive stands."""

    def __init__(self, settings: Settings, decider: Decider, proposer: Proposer,
                 recorder: Recorder, evaluator: Evaluator, listener: Listener,
                 interrupt: Interrupt, model_slots: int = 0) -> None:
        self.settings, self.decider, self.proposer = settings, decider, proposer
        self.recorder, self.evaluator, self.task = recorder, evaluator, evaluator.task
        self.listener, self.interrupt = listener, interrupt
        # Model calls and evaluations overlap; without a model, proposing takes next to no time.
        self._slots = settings.workers + (model_slots or settings.workers)
        self._started = time.monotonic()
        self._in_flight = 0
        self._next = 1
        self._rejections = 0
        self._halt: str | None = None  # why nothing new is begun
        self._fault: EvolveError | ArchiveError | None = None
        self._changed = asyncio.Event()
        self._evaluations = asyncio.Semaphore(settings.workers)

    async def run(self) -> str:
        """Go on until a limit is reached; returns which.

        Raises `EvolveError` or `ArchiveError` when the run can't go on; what is in flight is
        finished first, and the run is resumable.
        """
        self._next = max(p.number for p in self.recorder.archive.proposals()) + 1
        try:
            await self._work()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        if self._fault is not None:
            raise self._fault
        return self._halt or self._limit_reached() or "done"

    async def _work(self) -> None:
        """What was begun before, then new decisions, until nothing is in flight any more."""
        async with asyncio.TaskGroup() as group:
            for proposal in self.recorder.unfinished():
                self._launch(group, proposal)
            try:
                await self._fill_slots(group)
            except ArchiveError as error:
                self._fault = self._fault or error

    async def _fill_slots(self, group: asyncio.TaskGroup) -> None:
        while not (self._halted() or self._limit_reached()):
            if self._in_flight < self._slots and self._may_begin():
                proposal = await self._decide()
                if proposal is not None:
                    self._launch(group, proposal)
                    continue
                if self._in_flight == 0 and self._halt is None:
                    self._halt = "the record can't be followed: a parent was not scored this time"
            self._changed.clear()
            await self._wait_for_change()

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
        snapshot = self.recorder.snapshot
        decision = self.decider.decide(self._next, snapshot)
        while isinstance(decision, Skip):
            self._next += 1
            decision = self.decider.decide(self._next, snapshot)
        if decision is None:
            return None
        if isinstance(decision, Stop):
            self._halt = decision.reason
            return None
        proposal = plan_proposal(decision, self.settings.seed, self._next, snapshot)
        self._next += 1
        await self.recorder.plan(proposal)
        return proposal

    async def _carry_through(self, proposal: Proposal) -> None:
        """One proposal from where it stands to its end."""
        try:
            done, score = await self._finish(proposal)
        except OutOfBudget as error:
            self._halt = str(error)
            return
        except (EvolveError, ArchiveError) as error:  # the run can't go on; the others may finish
            self._fault, self._halt = self._fault or error, "a fault"
            return
        finally:
            self._in_flight -= 1
            self._changed.set()
        self._rejections = self._rejections + 1 if done.state is State.REJECTED else 0
        if done.operator != EVALUATE:
            self.listener.finished(done, score, self.progress())

    async def _finish(self, proposal: Proposal) -> tuple[Proposal, float | None]:
        if proposal.operator == EVALUATE:
            return await self._learn(proposal), None
        if proposal.tree is None:
            try:
                stored = await self.proposer.propose(proposal)
            except Rejected as why:
                return await self.recorder.reject(proposal, why.reason, why.message), None
        else:
            stored = Stored(proposal, await self.recorder.files(proposal.tree))
        return await self._evaluate(stored)

    async def _learn(self, decision: Proposal) -> Proposal:
        """One more attempt at one case of a variant that is scored."""
        variant = await self.recorder.proposal(decision.parents[0])
        assert variant.tree is not None
        files = await self.recorder.files(variant.tree)
        wanted = decision.decision["case"]
        cases = [case for case in self.task.spec.cases_of("search") if case.id == wanted]
        verdict = await self._verdict(Stored(decision, files), cases, decision.decision["attempt"])
        return await self.recorder.learn(decision, verdict.rows)

    async def _evaluate(self, stored: Stored) -> tuple[Proposal, float | None]:
        """Score it; a model's child that fails is repaired once and scored again."""
        verdict = await self._first_verdict(stored)
        if verdict.failed is not None:
            repaired = await self._repair(stored.proposal, verdict)
            if repaired is not None:
                stored, verdict = repaired, await self._first_verdict(repaired)
        proposal = stored.proposal
        if verdict.failed is not None:
            return await self.recorder.fail(proposal, verdict.failed, verdict.rows), None
        done = await self.recorder.score(proposal, stored.files, verdict.score, verdict.rows,
                                         above_ceiling(self.task, verdict.score))
        return done, verdict.score

    async def _repair(self, proposal: Proposal, verdict: Verdict) -> Stored | None:
        """What the budget does not allow is not repaired; the verdict stands."""
        try:
            return await self.proposer.repair(proposal, verdict)
        except OutOfBudget as error:
            self._halt = str(error)
            return None

    async def _first_verdict(self, stored: Stored) -> Verdict:
        """On as many cases as its decision says."""
        cases = self.task.spec.cases_of("search")[:stored.proposal.decision.get("cases")]
        return await self._verdict(stored, cases, await self.recorder.attempts(stored.proposal.id))

    async def _verdict(self, stored: Stored, cases: Sequence[CaseSpec], attempt: int) -> Verdict:
        """Evaluate; a machine's fault is waited out with back-off, and never a score."""
        proposal = stored.proposal
        pause, deadline = 0.5, None
        while True:
            try:
                async with self._evaluations:
                    await self.recorder.evaluating(proposal)
                    return await self.evaluator.evaluate(stored.files, cases, attempt)
            except ProviderFault as fault:
                await self.recorder.release(proposal)
                deadline = deadline or time.monotonic() + FAULT_PATIENCE_S
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


def plan_proposal(decision: Expand | Evaluate, seed: int, number: int, snapshot: Snapshot
                  ) -> Proposal:
    """The proposal of a decision, with its evidence: what is shown was known when it was decided.

    The id follows from the run's seed and the number.
    """
    if isinstance(decision, Evaluate):
        return Proposal(derive_id(seed, number), number, State.PLANNED, EVALUATE, (decision.variant,),
                        snapshot.last_event, time.time(),
                        decision={"case": decision.case, "attempt": decision.attempt})
    evidence = {"inspirations": list(decision.inspirations),
                "failures": snapshot.failures_of(decision.parents[0], FAILURES_SHOWN),
                **({} if decision.cases is None else {"cases": decision.cases}), **decision.keep}
    return Proposal(derive_id(seed, number), number, State.PLANNED, decision.operator,
                    decision.parents, snapshot.last_event, time.time(), island=decision.island,
                    model=decision.model, decision=evidence)


def above_ceiling(task: Task, score: float) -> bool:
    """True for a score better than the task's proved bound: a fault of the scorer, not a find."""
    ceiling = task.spec.ceiling
    if ceiling is None:
        return False
    return score > ceiling if task.spec.maximize else score < ceiling

