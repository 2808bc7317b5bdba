"""Evaluate a tree: sandbox, scorer and case come together; the result is a row or a fault."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from evolve.archive import Evaluation, Proposal
from evolve.errors import TaskError
from evolve.evaluation.confinement import TRIES
from evolve.evaluation.memory import memory_limit
from evolve.evaluation.scorer_process import (
    Said,
    ScorerDied,
    ScorerFull,
    ScorerProcess,
    WallsFell,
)
from evolve.peers.shared import EVALUATOR_SHARED, peer_config, score_together
from evolve.sandbox import CandidateFault, Pool, Reason, Session
from evolve.sandbox.inside import wire
from evolve.tasks import CaseSpec, Task

# the reason when a peer's evaluator can't be outside the sandbox
INSEPARABLE = "inseparable"
REMOTE = "evolve_inside.evolve_remote"  # imports a peer's program in the sandbox
_PEER_SCORER = Path(__file__).parents[1] / "peers" / "scorer.py"
PREPARE_S = 600.0  # for evaluate.py's cases() or workspace()
# the reason when evaluate.py itself raised or gave no finite score
EVALUATOR = "evaluator"


@dataclass(frozen=True)
class Verdict:
    """Rows of one evaluation over some cases; a reason when the candidate failed one of them."""

    rows: tuple[Evaluation, ...]

    @property
    def failed(self) -> Evaluation | None:
        return next((row for row in self.rows if row.reason is not None), None)

    @property
    def score(self) -> float:
        """The mean of the cases that have a score; of no use where one failed.

        Raises `ValueError` when none has.
        """
        return fmean(row.score for row in self.rows if row.score is not None)

    @property
    def feedback(self) -> str:
        return "\n".join(row.feedback for row in self.rows if row.feedback)


def _whole_log(printed: str, told: str) -> str:
    """What the candidate printed, then what is told of its end."""
    return told if printed.strip() in told else f"{printed.rstrip()}\n{told}".strip()


def draw_secret() -> int:
    """What hidden inputs of a run are drawn from, 0 to 2**63 - 1."""
    return secrets.randbits(63)


class EvaluatorBroken(TaskError):
    """evaluate.py can't be loaded or died: the task's fault, found before anything is spent."""


class Evaluator:
    """Scores trees on cases, as many at a time as the pool has boxes."""

    def __init__(
        self,
        task: Task,
        pool: Pool,
        log: Path,
        packages: Path | None = None,
        secret: int | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.task, self.pool = task, pool
        self._log, self._packages, self._note = log, packages, note
        self._secret = draw_secret() if secret is None else secret
        self._idle: list[ScorerProcess] = []
        # Whether a peer's evaluator is in the candidate's sandbox; None: not known yet.
        self.together: bool | None = None if task.peer else False
        self._finding_out = asyncio.Lock()
        # What else is asked of a candidate that has a score, before it ends.
        self.at_end: Callable[[Session], Awaitable[None]] | None = None
        # what was found out by, for who asks for it next
        self._seed_row: Evaluation | None = None

    async def move_to(self, task: Task, log: Path) -> None:
        """Score with another copy of the task from now on; scorers of the old one end."""
        self.task, self._log = task, log
        await asyncio.gather(*(scorer.close() for scorer in self._idle))
        self._idle.clear()

    async def evaluate(
        self,
        files: Mapping[str, bytes],
        cases: Sequence[CaseSpec],
        attempt: int = 0,
        proposal: Proposal | None = None,
    ) -> Verdict:
        """Score on every case, in order, until one fails; `proposal` is whose decision it is.

        Raises `evolve.sandbox.ProviderFault` (the machine's fault: try again) or `EvaluatorBroken`.
        """
        if self.together is None:
            await self._find_out(cases[0])
        rows: list[Evaluation] = []
        for case in cases:
            rows.append(
                self._found(files, case, attempt)
                or await self._evaluate_case(files, case, attempt)
            )
            if rows[-1].reason is not None:
                break
        return Verdict(tuple(rows))

    async def _find_out(self, case: CaseSpec) -> None:
        """The seed shows whether a peer's evaluator works apart; later candidates have no say."""
        async with self._finding_out:
            if self.together is None:
                row = await self._evaluate_case(self.task.seed, case, 0)
                self.together = row.reason == INSEPARABLE
                self._seed_row = None if self.together else row
                if self.together and self._note:
                    self._note(
                        f"{EVALUATOR_SHARED}: {row.message}; both run in one sandbox, and what "
                        "comes out is in the candidate's reach"
                    )

    def _found(
        self, files: Mapping[str, bytes], case: CaseSpec, attempt: int
    ) -> Evaluation | None:
        """The seed's row, once: evaluations may take minutes."""
        row = self._seed_row
        if (
            row is None
            or (row.case, row.attempt) != (case.id, attempt)
            or files != self.task.seed
        ):
            return None
        self._seed_row = None
        return row

    async def _evaluate_case(
        self, files: Mapping[str, bytes], case: CaseSpec, attempt: int
    ) -> Evaluation:
        """Where a scorer that scored others before is full, this candidate need not be the cause."""
        try:
            return await self._try_case(files, case, attempt)
        except ScorerFull:
            return await self._try_case(files, case, attempt, fresh=True)

    async def _try_case(
        self,
        files: Mapping[str, bytes],
        case: CaseSpec,
        attempt: int,
        fresh: bool = False,
    ) -> Evaluation:
        row = Evaluation(
            case.id, case.split, attempt, None, evaluator=self.task.evaluator_hash
        )
        started = time.perf_counter()
        async with self.pool.session() as session:
            try:
                if self.together:
                    row = await score_together(session, self.task, files, row)
                else:
                    await session.load(
                        files, REMOTE if self.task.peer else self.task.module
                    )
                    row = await self._scored(session, files, case, row, fresh)
                if self.at_end is not None and row.reason is None:
                    await self.at_end(session)
            except CandidateFault as fault:
                row = replace(
                    row, reason=fault.reason.value, message=fault.message, log=fault.log
                )
            usage = await session.end()
        return replace(
            row,
            seconds=time.perf_counter() - started,
            cpu_s=usage.cpu_s,
            peak_memory_bytes=usage.peak_memory_bytes,
            log=_whole_log(usage.log, row.log),
        )

    async def prepared(self, op: str, case: CaseSpec) -> Any:
        """What evaluate.py's function `cases` or `workspace` says; None when it has none.

        Raises `EvaluatorBroken` when it fails or takes too long.
        """
        scorer = await self._lease()
        try:
            async with asyncio.timeout(PREPARE_S):
                said = await scorer.prepare(op, case, self._seed_of(case))
        except (TimeoutError, ScorerDied) as error:
            await scorer.close()
            what = str(error) or f"it took over {PREPARE_S:g} s"
            raise EvaluatorBroken(
                f"{self.task.evaluator}: {op}: {what}", f"see {self._log}"
            ) from None
        except BaseException:
            await scorer.close()
            raise
        self._idle.append(scorer)
        if said.op == "broken":
            raise EvaluatorBroken(f"{op} of case {case.id}: {self._place(said)}")
        return wire.decode(said.payload) if said.op == op else None

    async def _scored(
        self,
        session: Session,
        files: Mapping[str, bytes],
        case: CaseSpec,
        row: Evaluation,
        fresh: bool,
    ) -> Evaluation:
        scorer = await self._lease(fresh)
        limit = self.task.spec.limits.whole_evaluation_s
        try:
            async with asyncio.timeout(limit):
                said = await scorer.score(
                    session, files, case, self._seed_of(case), row.attempt
                )
        except TimeoutError:
            await scorer.close()
            return replace(
                row,
                reason=Reason.TIMEOUT.value,
                message=f"the evaluation took over {limit:g} s",
            )
        except ScorerFull as error:
            await scorer.close()
            if scorer.scored > 1:
                raise
            return replace(
                row,
                reason=Reason.MEMORY.value,
                message=f"while it was scored, the scorer grew: {error}",
            )
        except ScorerDied as error:
            await scorer.close()
            return replace(
                row, reason=EVALUATOR, message=f"evaluate.py's process: {error}"
            )
        except BaseException:
            await scorer.close()
            raise
        if said.op == "broken":
            await scorer.close()  # replaced after a fault
        else:
            self._idle.append(scorer)
        return self._read(said, row)

    def _seed_of(self, case: CaseSpec) -> int:
        """The case's own secret seed, 0 to 2**63 - 1."""
        digest = hashlib.blake2b(
            f"{self._secret}:{case.id}".encode(), digest_size=8
        ).digest()
        return int.from_bytes(digest, "big") >> 1

    def _read(self, said: Said, row: Evaluation) -> Evaluation:
        if said.op == "result":
            result = wire.decode(said.payload)
            metrics = {str(k): v for k, v in result.get("metrics", {}).items()}
            return replace(
                row,
                score=result["score"],
                metrics=metrics,
                feedback=str(result.get("feedback", "")),
            )
        if said.op == "refused":
            return replace(
                row,
                reason=said.header["reason"],
                message=said.header["message"],
                log=said.header["log"],
            )
        return replace(
            row, reason=EVALUATOR, message=self._place(said), log=said.header["log"]
        )

    def _place(self, said: Said) -> str:
        line = said.header.get("line")
        where = f"{self.task.evaluator}:{line}" if line else str(self.task.evaluator)
        return f"{where}: {said.header['message']}"

    async def _lease(self, fresh: bool = False, tries: int = TRIES) -> ScorerProcess:
        if self._idle and not fresh:
            return self._idle.pop()
        scorer = await self._start()
        try:
            problem = await scorer.wait_until_ready()
        except ScorerDied as error:
            await scorer.close()
            if isinstance(error, WallsFell) and tries > 1:
                return await self._lease(fresh, tries - 1)
            raise EvaluatorBroken(
                f"{self.task.evaluator}: its process died: {error}", f"see {self._log}"
            ) from None
        if problem is not None:
            await scorer.close()
            raise EvaluatorBroken(self._place(problem))
        return scorer

    async def _start(self) -> ScorerProcess:
        task = self.task
        if task.peer is None:
            return await ScorerProcess.start(
                task.evaluator,
                self._packages,
                self._log,
                task.folder,
                {},
                memory_limit(task),
            )
        environment = {"EVOLVE_PEER": json.dumps(peer_config(task))}
        return await ScorerProcess.start(
            _PEER_SCORER,
            self._packages,
            self._log,
            task.folder,
            environment,
            memory_limit(task),
        )

    async def close(self) -> None:
        """End scorers and sandboxes."""
        await asyncio.gather(*(scorer.close() for scorer in self._idle))
        await self.pool.close()
