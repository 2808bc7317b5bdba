"""The main loop: decide, propose, check, evaluate, record; many candidates concurrently."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from evolve.archive import PERSON, SIGNS, AddStatus, ArchiveError, Kind, Proposal, State
from evolve.engine.concurrency import SMOOTHING, InFlightLimit, StallDetector
from evolve.engine.decisions import Decider, plan_proposals
from evolve.engine.limits import Stopping
from evolve.engine.progress import Progress
from evolve.engine.proposer import DUPLICATE, Proposer, StoredChild
from evolve.engine.services import Control, Services
from evolve.errors import EvolveError
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.models import Interrupted, OutOfBudget
from evolve.operators import Rejected
from evolve.retry import retry_sandbox
from evolve.sandbox import ProviderFault
from evolve.search import Evaluate, Expand, Skip, Stop
from evolve.tasks import CaseSpec

TICK_S = 0.2  # how often to check for an interrupt or a time limit
WHILE_NEW = 2  # proposals of models in preparation before the first program
DEAD_END = "the record can't be followed: a parent was not scored this time"


class FinishedWork(NamedTuple):
    """A proposal that reached its end: a child with its verdict, or a rejection.

    Attributes:
        proposal: The proposal.
        stored: The child; None if it was rejected.
        verdict: The evaluation; None if it was rejected.
        rejected: The rejection; None if there is a child.
        kept: Whether the rows of the verdict are in the archive already.
    """

    proposal: Proposal
    stored: StoredChild | None = None
    verdict: Verdict | None = None
    rejected: Rejected | None = None
    kept: bool = False


class Engine:
    """The main loop of a run, which continues from the state of its archive.

    Args:
        services: The services that all parts share.
        decider: Makes the decisions: a policy, or the record of a run.
        proposer: Produces the children.
        evaluator: Scores the children.
        control: Observer, interrupt, steering and notes of the run.
    """

    def __init__(
        self,
        services: Services,
        decider: Decider,
        proposer: Proposer,
        evaluator: Evaluator,
        control: Control,
    ) -> None:
        settings, recorder = services.settings, services.recorder
        self.settings, self.recorder, self.order = settings, recorder, services.ordering
        self.decider, self.proposer = decider, proposer
        self.evaluator, self.task = evaluator, services.task
        self.control = control
        self.listener, self.interrupt = control.listener, control.interrupt
        self._stopping = Stopping(settings, recorder.rejections_at_end())
        self._in_flight = InFlightLimit(
            settings.workers, proposer.model_slots, self.task.spec.agent is not None
        )
        self._suspensions = StallDetector()
        # started by an earlier process and unfinished, in order of decision
        self._begun: deque[Proposal] = deque()
        self._waiting: dict[int, FinishedWork] = {}  # finished, waiting for their turn
        self._running = self._proposing = 0
        self._next = 1
        self._halt: str | None = None  # reason why nothing new is started
        self._fault: EvolveError | ArchiveError | None = None
        self._changed = asyncio.Event()
        self._evaluations = asyncio.Semaphore(settings.workers)
        self._turns = asyncio.Lock()
        self._seen: dict[int, int] = {}  # number of scored variants at each decision
        self._told: set[tuple[str, str]] = set()  # reported flags of agents
        self._stalls, self._staleness, self._stalled = 0, 0.0, False
        self._given = 0  # programs of a person that are taken before any limit

    async def run(self) -> str:
        """Run until a limit is reached.

        After an error, proposals in flight are finished first, and the run is resumable.

        Returns:
            The reason why the run stopped.

        Raises:
            EvolveError: The run can't go on.
            ArchiveError: The archive can't be read or written.
        """
        self._next = self.recorder.last_number + 1
        beat = asyncio.create_task(self._suspensions.beat())
        try:
            await self._work()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            beat.cancel()
        if self._fault is not None:
            raise self._fault
        return self._halt or "done"

    async def _work(self) -> None:
        """Finish what an earlier process started, then decide until nothing is in flight."""
        async with asyncio.TaskGroup() as group:
            self._begun.extend(self.recorder.unfinished())
            self._make_room()
            try:
                await self._fill_slots(group)
            # recording also asks a model if a model makes the vectors
            except OutOfBudget as error:
                self._halt = str(error)
            except (EvolveError, ArchiveError) as error:
                self._fault = self._fault or error
        if self.control.notes is not None:
            await self.control.notes.finish()
        if self._fault is None and not (self.order.window and self.interrupt.requested):
            # With a window, an interrupted run leaves results waiting for their turn, so that
            # the resumed run repeats exactly. A resumed run records the rest after OutOfBudget.
            with suppress(OutOfBudget):
                await self._record_due()

    def _make_room(self) -> None:
        """Let programs that a person added to an ended run be scored beyond its limits."""
        steering, variants = self.control.steering, self.recorder.variants
        self._given = steering.programs() if steering else 0
        begun = sum(one.operator == PERSON for one in self._begun)
        self._stopping.make_room(self._given + begun, variants)
        reached = self._stopping.reached(variants, self.recorder.snapshot)
        if self._given and reached:
            self.listener.waiting(f"{reached}; programs of a person are scored first")

    async def _fill_slots(self, group: asyncio.TaskGroup) -> None:
        while not self._halted():
            if self._has_capacity() and (await self._may_decide()):
                proposals = (
                    [self._begun.popleft()] if self._begun else await self._decide()
                )
                for proposal in proposals:
                    self._running += 1
                    group.create_task(
                        self._carry_through(proposal),
                        name=f"proposal {proposal.number}",
                    )
                if proposals:
                    continue
                if (
                    self._halt is None
                    and not self._running
                    and self.order.due(self._waiting) is None
                ):
                    self._halt = DEAD_END
            self._changed.clear()
            await self._wait_for_change()

    def _has_capacity(self) -> bool:
        """Return whether one more decision is due.

        Until the first reply gives a program, only a few are asked for: if all are useless,
        the model is given up before many more calls are in flight.
        """
        proved = self.proposer.gave_program or self.recorder.variants > 0
        asks = self.proposer.model_slots > 0
        if asks and not proved and self._proposing >= WHILE_NEW:
            return False
        return self._in_flight.has_capacity(
            self._proposing, self._running - self._proposing
        )

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._changed.wait()
        except TimeoutError:
            return

    @property
    def _pending(self) -> int:
        """Number of decisions without a recorded result."""
        return self._running + len(self._waiting)

    def _halted(self) -> bool:
        if self._halt is None and self.interrupt.requested:
            self._halt = "interrupted"
        to_finish = self._begun and self._stopping.room_for(self.recorder.variants)
        idle = self._pending == 0 and not to_finish and not self._given
        if self._halt is None and idle:
            self._halt = self._stopping.reached(
                self.recorder.variants, self.recorder.snapshot
            )
        return self._halt is not None

    async def _may_decide(self) -> bool:
        """Record exactly the results that the next decision must see.

        Returns:
            Whether the next decision can be made; False while a result that it must see is
            not finished.
        """
        while self._full():
            if not await self._record_one():
                if not self._stalled:
                    self._stalls += bool(self.order.window)
                self._stalled = True
                return False
        self._stalled = False
        return True

    def _full(self) -> bool:
        window, pending = self.order.window, self._pending
        return (window is not None and pending >= window) or (
            not self._stopping.room_for(self.recorder.variants + pending)
        )

    async def _decide(self) -> list[Proposal]:
        """Make and record the next decision.

        Returns:
            Its proposals; empty if a proposal in flight must finish first, or if the run
            halts.
        """
        snapshot = self.recorder.snapshot
        settled = self.order.settled
        steering = self.control.steering
        first = self._given > 0
        if not first and self._at_limit():
            return []
        given = await steering.take(self._next, settled) if steering else None
        self._given = max(0, self._given - 1) if given else 0
        if given is not None:
            self._next += 1
            self._seen[given.number] = len(snapshot)
            return [given]
        if first and self._at_limit():
            return []
        if self.control.notes is not None:
            await self.control.notes.take(self._next, snapshot)
        await self.recorder.code_ready()
        decision = self.decider.decide(self._next, snapshot)
        while isinstance(decision, Skip):
            self._next += 1
            decision = self.decider.decide(self._next, snapshot)
        if decision is None:
            return []
        if isinstance(decision, Stop):
            self._halt = decision.reason
            return []
        count = self._how_many(decision)
        proposals = plan_proposals(
            decision,
            self.settings.seed,
            self._next,
            snapshot,
            settled,
            count,
            self.proposer.shows(decision),
        )
        self._next += len(proposals)
        self._seen.update((proposal.number, len(snapshot)) for proposal in proposals)
        await self.recorder.plan(*proposals)
        return proposals

    def _at_limit(self) -> bool:
        """Return whether a limit is reached, which halts the run."""
        reached = self._stopping.reached(self.recorder.variants, self.recorder.snapshot)
        self._halt = reached or self._halt
        return reached is not None

    def _how_many(self, decision: Expand | Evaluate) -> int:
        """Return the number of children of a decision, within the limit on variants."""
        if isinstance(decision, Evaluate):
            return 1
        return self._stopping.at_most(
            decision.samples, self.recorder.variants + self._pending
        )

    async def _carry_through(self, proposal: Proposal) -> None:
        """Take one proposal from its current state to its end."""
        try:
            await self._hand_in(await self._finish(proposal))
        except OutOfBudget as error:
            self._halt = str(error)
        # the run can't go on; other proposals in flight may finish
        except (EvolveError, ArchiveError) as error:
            self._fault, self._halt = self._fault or error, "a fault"
        finally:
            self._running -= 1
            self._changed.set()

    async def _finish(self, proposal: Proposal) -> FinishedWork:
        if proposal.kind is Kind.EVALUATE:
            stored = StoredChild(
                proposal, await self.recorder.files_of(proposal.parents[0])
            )
            return FinishedWork(proposal, stored, await self._verdict(stored))
        if proposal.tree is not None:
            stored = StoredChild(proposal, await self.recorder.files(proposal.tree))
            rows = self.recorder.rows_in_waiting(proposal)
            if rows:
                return FinishedWork(proposal, stored, Verdict(tuple(rows)), kept=True)
            return await self._evaluate(stored)
        self._proposing += 1
        started = time.monotonic()
        try:
            stored = await self.proposer.propose(proposal)
        except Rejected as why:
            return FinishedWork(proposal, rejected=why)
        finally:
            self._proposing -= 1
            self._in_flight.proposed(time.monotonic() - started)
        self._changed.set()
        return await self._evaluate(stored)

    async def _evaluate(self, stored: StoredChild) -> FinishedWork:
        """Evaluate a child; a model's child that fails is repaired and evaluated once more."""
        verdict = await self._verdict(stored)
        if verdict.failed is not None:
            repaired = await self._repair(stored.proposal, verdict)
            if repaired is not None:
                stored, verdict = repaired, await self._verdict(repaired)
        return FinishedWork(stored.proposal, stored, verdict)

    async def _repair(self, proposal: Proposal, verdict: Verdict) -> StoredChild | None:
        """Repair a failed child, unless the budget forbids: then its verdict is final."""
        try:
            return await self.proposer.repair(proposal, verdict)
        except Interrupted:
            raise  # the resumed run repairs it
        except OutOfBudget as error:
            self._halt = str(error)
            return None

    async def _verdict(self, stored: StoredChild) -> Verdict:
        """Evaluate; a fault of the machine is retried with back-off and never scored."""
        return await retry_sandbox(
            lambda: self._attempt(stored), self.settings.patience_s, self._wait_aloud
        )

    async def _wait_aloud(self, message: str) -> None:
        self.listener.waiting(message)
        await self.recorder.note("waiting", {"message": message})

    async def _attempt(self, stored: StoredChild) -> Verdict:
        """Evaluate once, as soon as a worker is free.

        Returns:
            The verdict, also for a child that failed.

        Raises:
            ProviderFault: The machine failed; the proposal is released.
        """
        try:
            async with self._evaluations:
                proposal, started = stored.proposal, time.monotonic()
                self.recorder.evaluating(proposal)
                verdict = await self.evaluator.evaluate(
                    stored.files,
                    self._cases_of(proposal),
                    self.recorder.attempt_of(proposal),
                    proposal,
                )
                if verdict.failed is not None and self._suspensions.stalled_since(
                    started
                ):
                    raise ProviderFault(
                        "this process was suspended during the evaluation; its result is void"
                    )
                self._in_flight.evaluated(time.monotonic() - started)
                return verdict
        except ProviderFault:
            await self.recorder.release(stored.proposal)
            raise

    def _cases_of(self, proposal: Proposal) -> Sequence[CaseSpec]:
        """Return the cases that the decision names: one, the first few, or all."""
        cases = self.task.spec.cases_of("search")
        if proposal.kind is Kind.EVALUATE:
            return [case for case in cases if case.id == proposal.evaluates.case]
        return cases[: proposal.decision.cases]

    async def _hand_in(self, ended: FinishedWork) -> None:
        """Record a finished proposal now, or store its rows until its turn comes."""
        if not self.order.holds:
            await self._record(ended)
            return
        # its rows belong to another variant, which gets them when their turn comes
        learns = ended.proposal.kind is Kind.EVALUATE
        if ended.verdict is not None and not ended.kept and not learns:
            await self.recorder.keep(ended.proposal, ended.verdict.rows)
            ended = ended._replace(kept=True)
        self._waiting[ended.proposal.number] = ended
        if self.order.window is None:
            await self._record_due()

    async def _record_due(self) -> None:
        """Record all results whose turn has come."""
        async with self._turns:
            while await self._record_one():
                continue

    async def _record_one(self) -> bool:
        number = self.order.due(self._waiting)
        if number is None:
            return False
        await self._record(self._waiting[number])
        del self._waiting[number]
        self.order.recorded(number)
        return True

    async def _record(self, ended: FinishedWork) -> None:
        done, score = await self._written(ended)
        rejected = done.state is State.REJECTED
        self._stopping.rejections = self._stopping.rejections + 1 if rejected else 0
        age = len(self.recorder.snapshot) - self._seen.pop(
            done.number, len(self.recorder.snapshot)
        )
        self._staleness += SMOOTHING * (age - self._staleness)
        await self._tell_signs(ended)
        if done.state is not State.EVALUATED:
            self.listener.finished(done, score, self.progress())

    async def _tell_signs(self, ended: FinishedWork) -> None:
        """Report an agent that tried to use something forbidden at once, once per flag."""
        rows = ended.verdict.rows if ended.verdict is not None else ()
        one = ended.proposal
        variant = one.parents[0] if one.kind is Kind.EVALUATE else one.id
        found = {
            (variant, str(row.metrics[SIGNS])) for row in rows if SIGNS in row.metrics
        }
        for _, signs in sorted(found - self._told):
            await self.recorder.note(SIGNS, {"variant": variant, "signs": signs})
            self.listener.waiting(
                f"{variant[:8]}: a flag that a person should review: {signs}"
            )
        self._told |= found

    async def _written(self, ended: FinishedWork) -> tuple[Proposal, float | None]:
        proposal, verdict = ended.proposal, ended.verdict
        if ended.rejected is not None:
            why = ended.rejected
            return await self.recorder.reject(
                proposal, why.reason, why.message, why.note
            ), None
        assert verdict is not None and ended.stored is not None
        if proposal.kind is Kind.EVALUATE:
            return await self.recorder.learn(proposal, verdict.rows), None
        known = self.order.late(proposal)
        if known is not None:
            return await self.recorder.reject(
                proposal,
                DUPLICATE,
                f"the same files as {known}",
                ended.stored.proposal.note,
            ), None
        if verdict.failed is not None:
            rows = () if ended.kept else verdict.rows
            return await self.recorder.fail(proposal, verdict.failed, rows), None
        done = await self.recorder.score(
            proposal,
            ended.stored.files,
            verdict.score,
            verdict.rows,
            self.task.above_ceiling(verdict.score),
            ended.kept,
        )
        if done.kept is AddStatus.BEST:
            self.evaluator.measure_against(ended.stored.files, verdict.rows)
        return done, verdict.score

    def progress(self) -> Progress:
        """Return the current state of the run."""
        counts, snapshot = self.recorder.counts, self.recorder.snapshot
        best = snapshot.best()
        return Progress(
            counts.get(State.SCORED, 0),
            counts.get(State.FAILED, 0),
            counts.get(State.REJECTED, 0),
            self._running,
            best,
            snapshot.score_of(best.id) if best else None,
            self.recorder.spend,
            self._stopping.seconds,
            self._stalls,
            self._staleness,
        )
